"""Schedules for tests, and a beat whose clock a test moves."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
)

from jobs.models import Alert, Job, ScheduleCursor, SchedulePolicy, ScheduleRevision, Slot
from jobs.schedules import operations, queries, revisions
from jobs.schedules.clock import Clock
from jobs.schedules.definitions import CRONTAB_FIELDS
from jobs.schedules.verify import verify_slots
from jobs.states import AlertKind
from tests.drills import run_atomic

#: A Monday to come: jobs that are enqueued for it have not expired.
START = datetime(2035, 1, 1, 12, tzinfo=UTC)


class Beat:
    """A beat, and the clock that all of the product's schedules go by while it lives."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, now: datetime = START) -> None:
        self.now = now
        for module in (operations, queries, revisions):
            monkeypatch.setattr(module, "database_now", lambda: self.now)
        self.restart()

    def restart(self) -> None:
        """Begin anew, with no memory."""
        self.clock = Clock(lambda: self.now)

    def tick(self, *, longest: float = 86_400) -> float:
        return self.clock.tick(longest)

    def pass_time(self, **duration: float) -> None:
        """Let time pass in which no beat runs."""
        self.now += timedelta(**duration)

    def run(self, **duration: float) -> None:
        """Tick and sleep, as beat does, until the time is over."""
        end = self.now + timedelta(**duration)
        while True:
            wait = timedelta(seconds=self.tick())
            if self.now >= end and wait >= timedelta(seconds=1):
                return
            self.now = max(min(self.now + wait, end), self.now + timedelta(milliseconds=1))


def make_schedule(
    name: str = "nightly",
    *,
    cron: str | None = None,
    zone: str = "UTC",
    every: tuple[int, str] | None = None,
    clocked: datetime | None = None,
    task: Any = run_atomic,
    payload: dict[str, Any] | None = None,
    policy: dict[str, Any] | None = None,
    **columns: Any,
) -> PeriodicTask:
    """Save a schedule as the admin does; hourly, where a test says nothing else."""
    if every:
        columns["interval"] = IntervalSchedule.objects.create(every=every[0], period=every[1])
    elif clocked:
        columns["clocked"] = ClockedSchedule.objects.create(clocked_time=clocked)
        columns["one_off"] = True
    else:
        columns["crontab"] = make_crontab(cron or "0 * * * *", zone)
    columns.setdefault("kwargs", json.dumps(payload or {}))
    named = task if isinstance(task, str) else task.name
    schedule = PeriodicTask.objects.create(name=name, task=named, **columns)
    if policy:
        set_policy(schedule, **policy)
    return schedule


def make_crontab(expression: str, zone: str = "UTC") -> CrontabSchedule:
    fields = dict(zip(CRONTAB_FIELDS, expression.split(), strict=True))
    return CrontabSchedule.objects.create(**fields, timezone=zone)


def set_policy(schedule: PeriodicTask, **columns: Any) -> None:
    policy = SchedulePolicy.objects.get(pk=schedule.pk)
    for name, value in columns.items():
        setattr(policy, name, value)
    policy.save()


def anew(schedule: PeriodicTask) -> PeriodicTask:
    return PeriodicTask.objects.get(pk=schedule.pk)


def covered(schedule: PeriodicTask) -> datetime:
    return ScheduleCursor.objects.get(pk=schedule.pk).covered_until


def why_disabled(schedule: PeriodicTask) -> str:
    """Return why beat disabled it; fails if it is enabled."""
    assert not anew(schedule).enabled
    return ScheduleCursor.objects.get(pk=schedule.pk).disabled_reason


def ledger(schedule: PeriodicTask, form: str = "%H:%M") -> list[str]:
    """Return the slots of the clock in their order, each with its outcome: "13:00 ran"."""
    slots = Slot.objects.filter(schedule=schedule, asked_by="").order_by("at")
    return [f"{slot.at:{form}} {slot.outcome}" for slot in slots]


def jobs_of(schedule: PeriodicTask) -> list[Any]:
    """Return the jobs of its slots, in the order in which they were started, with these."""
    return list(Job.objects.filter(slot__schedule=schedule).select_related("slot").order_by("id"))


def changes_of(schedule: PeriodicTask) -> list[tuple[str, dict[str, Any]]]:
    found = ScheduleRevision.objects.filter(schedule=schedule).order_by("from_at", "id")
    return [(each.by, each.changes) for each in found]


def cron_alerts() -> list[dict[str, Any]]:
    """Return what alerts of schedules said, without their ids."""
    found = Alert.objects.filter(kind=AlertKind.CRON_FAILURE).order_by("created_at")
    names = ("type", "cron", "task", "error")
    return [{name: alert.data[name] for name in names} for alert in found]


def proved(now: datetime) -> bool:
    """Tell whether the ledger holds, as `verify_slots` sees it."""
    proofs = verify_slots(since=now - timedelta(days=60), until=now)
    assert proofs
    return all(proof.holds for proof in proofs)

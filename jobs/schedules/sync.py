"""Writes the cron table of the settings into the database, and leaves alone what people changed."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.db import transaction
from django_celery_beat.models import CrontabSchedule, PeriodicTask, PeriodicTasks
from kombu.utils.json import dumps

from jobs import registry
from jobs.models import ScheduleSeed
from jobs.schedules.cron_table import CronJob
from jobs.schedules.crontab import Crontab, zone_named
from jobs.schedules.definitions import CRONTAB_FIELDS, crontab_of, normal_crontab
from jobs.schedules.errors import BrokenSchedule
from jobs.schedules.locking import lock_schedule, policy_of
from jobs.schedules.revisions import changed_by
from jobs.schedules.timing import EPOCH
from jobs.states import MissedPolicy, OverlapPolicy

BY = "sync_schedules"

#: As the column of django-celery-beat is long.
NAME_MAX_CHARACTERS = 200


class Synced(StrEnum):
    """What became of one row of the table."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    RESET = "reset"
    KEPT = "kept"  #: Some of it is an operator's, and stands.
    DELETED = "deleted by an operator"  #: And stays so.
    GONE = "no longer in the table"  #: Its schedule stays: nobody said to delete it.


@dataclass(frozen=True)
class Result:
    name: str
    what: Synced
    kept: tuple[str, ...] = ()  #: The fields that an operator has changed.


def sync_schedules(*, reset: bool = False) -> list[Result]:
    """
    Write every row of JOBS_SCHEDULES. Idempotent; any number may run at once.

    A field that differs from what was last written here is an operator's, and is left as it is; the
    others follow the table. `reset` writes all of them, and what was deleted, anew.
    """
    with changed_by(BY):
        results = [_sync(row, reset=reset) for row in settings.JOBS_SCHEDULES]
    names = [row.name for row in settings.JOBS_SCHEDULES]
    gone = ScheduleSeed.objects.exclude(name__in=names).order_by("name")
    return results + [Result(seed.name, Synced.GONE) for seed in gone]


@transaction.atomic
def _sync(row: CronJob, *, reset: bool) -> Result:
    wanted = _wanted(row)
    # The seed's row is the lock: of two that insert it, the second waits for the first to commit.
    ScheduleSeed.objects.bulk_create(
        [ScheduleSeed(name=row.name, definition={})], ignore_conflicts=True
    )
    seed = ScheduleSeed.objects.select_for_update().get(name=row.name)
    schedule = _locked(row.name)
    if schedule is None:
        if seed.definition and not reset:
            return Result(row.name, Synced.DELETED)
        _write(PeriodicTask(name=row.name), wanted)
        _remember(seed, wanted)
        return Result(row.name, Synced.CREATED)
    return _merge(seed, schedule, wanted, reset=reset)


def _locked(name: str) -> PeriodicTask | None:
    """Lock a schedule, so that an edit made meanwhile comes before what is read here, or after."""
    # As `save` does, which follows: see `locking`.
    list(PeriodicTasks.objects.select_for_update().values_list("ident"))
    found = PeriodicTask.objects.filter(name=name).values_list("pk", flat=True).first()
    return lock_schedule(found, wait=True) if found else None


def _merge(
    seed: ScheduleSeed, schedule: PeriodicTask, wanted: dict[str, Any], *, reset: bool
) -> Result:
    present = _present(schedule)
    operators = tuple(
        name
        for name, value in present.items()
        if value != seed.definition.get(name, wanted[name]) and not _is_beats(name, schedule)
    )
    kept = () if reset else operators
    written = {name: present[name] if name in kept else wanted[name] for name in wanted}
    if written != present:
        _write(schedule, written)
    # Of a field that is kept, what was last written stays: else the next sync would take it back.
    _remember(seed, {**wanted, **{name: seed.definition.get(name) for name in kept}})
    if kept:
        return Result(schedule.name, Synced.KEPT, kept)
    if written == present:
        return Result(schedule.name, Synced.UNCHANGED)
    return Result(schedule.name, Synced.RESET if operators else Synced.UPDATED)


def check_row(row: CronJob) -> None:
    """
    :raises BrokenSchedule: if its pattern, zone or policies can't be read.
    :raises EnqueueRefused: if no job type has its name, or the payload doesn't fit.
    """
    if not 0 < len(row.name) <= NAME_MAX_CHARACTERS:
        raise BrokenSchedule(f"name: 1 to {NAME_MAX_CHARACTERS} characters.")
    next(Crontab(row.cron, zone_named(row.timezone)).after(EPOCH), None)
    for policy, value in ((MissedPolicy, row.missed), (OverlapPolicy, row.overlap)):
        if value not in policy.values:
            raise BrokenSchedule(f"{value!r} is none of {', '.join(policy.values)}.")
    registry.get_type(row.task).read(row.payload)


def _is_beats(name: str, schedule: PeriodicTask) -> bool:
    """Beat disables what can't be run; the release that mends it enables it again."""
    cursor = getattr(schedule, "cursor", None)
    return name == "enabled" and cursor is not None and bool(cursor.disabled_reason)


def _wanted(row: CronJob) -> dict[str, Any]:
    check_row(row)  # A typing error in the table is told here, not by beat.
    fields = asdict(row)
    del fields["name"]
    payload = dumps(fields.pop("payload"))
    return {**fields, "cron": normal_crontab(row.cron), "kwargs": payload, "enabled": True}


def _present(schedule: PeriodicTask) -> dict[str, Any]:
    """Return what a schedule is now, in the table's own terms."""
    crontab, policy = schedule.crontab, policy_of(schedule)
    return {
        "cron": crontab_of(crontab) if crontab else None,
        "timezone": str(crontab.timezone) if crontab else None,
        "task": schedule.task,
        "kwargs": schedule.kwargs,
        "description": schedule.description,
        "enabled": schedule.enabled,
        "missed": policy.missed,
        "overlap": policy.overlap,
    }


def _write(schedule: PeriodicTask, values: dict[str, Any]) -> None:
    if values["cron"]:
        schedule.crontab = _crontab(values["cron"], values["timezone"])
        schedule.interval = schedule.clocked = None
    for name in ("task", "kwargs", "description", "enabled"):
        setattr(schedule, name, values[name])
    schedule.save()
    policy = policy_of(schedule)
    if (policy.missed, policy.overlap) != (values["missed"], values["overlap"]):
        policy.missed, policy.overlap = values["missed"], values["overlap"]
        policy.save(update_fields=["missed", "overlap"])


def _crontab(expression: str, timezone: str) -> CrontabSchedule:
    fields = dict(zip(CRONTAB_FIELDS, expression.split(), strict=True))
    found = CrontabSchedule.objects.filter(**fields, timezone=timezone).first()
    return found or CrontabSchedule.objects.create(**fields, timezone=timezone)


def _remember(seed: ScheduleSeed, definition: dict[str, Any]) -> None:
    if seed.definition != definition:
        seed.definition = definition
        seed.save(update_fields=["definition"])

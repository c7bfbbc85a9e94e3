"""Looks at every schedule, fires those that are due, and says when to look again."""

from collections.abc import Callable, Iterable
from datetime import datetime

from django.db import Error, InterfaceError, OperationalError
from django.db.models import Exists, OuterRef, Q
from django_celery_beat.models import PeriodicTask

from jobs.models import Slot
from jobs.schedules import alerts, log_events
from jobs.schedules.database_clock import database_now
from jobs.schedules.definitions import Definition, definition_of
from jobs.schedules.errors import BrokenSchedule
from jobs.schedules.firing import fire_due
from jobs.schedules.locking import RELATED
from jobs.schedules.timing import slots_after
from jobs.states import SlotOutcome

#: How soon to look again after something was fired: its cursor has moved, or another beat has it.
AGAIN_SECONDS = 0.05

#: How often slots that wait are looked at, and schedules that can't go on now: another beat hangs
#: with the lock, the task is not known yet, or a fault of ours.
PATIENCE_SECONDS = 1.0

Key = tuple[Definition, datetime]


class Clock:
    """What one beat remembers between its looks: nothing that it could not find out again."""

    def __init__(self, now: Callable[[], datetime] = database_now) -> None:
        self._now = now
        self._definitions: dict[int, Definition] = {}
        self._next: dict[int, tuple[Key, datetime | None]] = {}
        self._fired: dict[int, datetime] = {}

    def tick(self, longest: float) -> float:
        """
        Fire what is due and return the seconds until the next look, `longest` at most.

        One schedule that fails is alerted of, and holds no other.

        :raises Error: when the database is away.
        """
        now = self._now()
        looks = [self._look(schedule, now) for schedule in _schedules()]
        return min([longest, *looks])

    def _look(self, schedule: PeriodicTask, now: datetime) -> float:
        try:
            return self._fire_if_due(schedule, now)
        except (OperationalError, InterfaceError):
            raise
        except Exception as error:
            log_events.failed(schedule.name, error)
            _alert(schedule, error)
            return PATIENCE_SECONDS

    def _fire_if_due(self, schedule: PeriodicTask, now: datetime) -> float:
        if not hasattr(schedule, "policy") or not hasattr(schedule, "cursor"):
            fire_due(schedule.pk, now=now)  # It was saved past Django's signals.
            return AGAIN_SECONDS
        definition = definition_of(schedule)
        changed = self._definitions.get(schedule.pk) != definition
        next_at = self._next_slot(schedule, definition)
        due = next_at is not None and next_at <= now
        if due or changed or schedule.has_waiting:
            fire_due(schedule.pk, now=now)
            self._definitions[schedule.pk] = definition
        if due or changed:
            return self._again(schedule)
        wait = (next_at - now).total_seconds() if next_at else float("inf")
        return min(wait, _pause(schedule)) if schedule.has_waiting else wait

    def _again(self, schedule: PeriodicTask) -> float:
        """Look again at once; less eagerly where the last look has not moved the cursor either."""
        before = self._fired.get(schedule.pk)
        self._fired[schedule.pk] = schedule.cursor.covered_until
        stuck = before == schedule.cursor.covered_until
        return PATIENCE_SECONDS if stuck else AGAIN_SECONDS

    def _next_slot(self, schedule: PeriodicTask, definition: Definition) -> datetime | None:
        """Return the first slot that the ledger lacks; remembered until something changes."""
        key = (definition, schedule.cursor.covered_until)
        known = self._next.get(schedule.pk)
        if known is None or known[0] != key:
            known = self._next[schedule.pk] = (key, _first_after(*key))
        return known[1]


def _schedules() -> Iterable[PeriodicTask]:
    """Return those that are enabled, and those that slots still wait for."""
    waiting = Slot.objects.filter(schedule=OuterRef("pk"), outcome=SlotOutcome.WAITING)
    found = PeriodicTask.objects.select_related(*RELATED).annotate(has_waiting=Exists(waiting))
    return list(found.filter(Q(enabled=True) | Q(has_waiting=True)).order_by("pk"))


def _first_after(definition: Definition, moment: datetime) -> datetime | None:
    try:
        return next(slots_after(definition, moment), None)
    except BrokenSchedule:
        return moment  # Due at once: to be disabled.


def _pause(schedule: PeriodicTask) -> float:
    return min(60.0 / int(schedule.policy.catch_up_per_minute), PATIENCE_SECONDS)


def _alert(schedule: PeriodicTask, error: Exception) -> None:
    try:
        alerts.alert_of_schedule(schedule, f"{type(error).__name__}: {error}")
    except Error as away:
        log_events.failed(schedule.name, away)

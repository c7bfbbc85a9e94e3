"""Looks at every schedule, fires those that are due, and says when to look again."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, TextField
from django.db.models.functions import Cast
from django_celery_beat.models import PeriodicTask

from jobs.database_clock import database_now
from jobs.engine.patience import AWAY
from jobs.models import ScheduleCursor, Slot
from jobs.schedules import alerts, log_events
from jobs.schedules.definitions import (
    CRONTAB_FIELDS,
    PLAIN_FIELDS,
    POLICY_FIELDS,
    Definition,
    definition_of,
)
from jobs.schedules.errors import BrokenSchedule
from jobs.schedules.firing import fire_due
from jobs.schedules.locking import read_schedule
from jobs.schedules.revisions import newest_revision
from jobs.schedules.timing import EPOCH, slots_after
from jobs.states import SlotOutcome

#: How soon to look again after something was fired: its cursor has moved, or another beat has it.
AGAIN_SECONDS = 0.05

#: How often slots that wait are looked at, and schedules that can't go on now: another beat hangs
#: with the lock, the task is not known yet, or a fault of ours.
PATIENCE_SECONDS = 1.0

LONG_AGO = EPOCH

#: What a look reads of each schedule; models would cost as much as all else together (measured).
LOOKED_AT = ("pk", "has_waiting", "cursor__covered_until", "policy__catch_up_per_minute")

#: All that a definition is made of: as long as it is the same, so are the slots.
DEFINING = (
    *PLAIN_FIELDS, "start_time", "expires", "policy__paused_until",
    *(f"policy__{name}" for name in POLICY_FIELDS),
    *(f"crontab__{name}" for name in CRONTAB_FIELDS), "zone",
    "interval__every", "interval__period", "clocked__clocked_time", "solar_id",
)  # fmt: skip


@dataclass(frozen=True)
class Look:
    """What one look has read of a schedule."""

    pk: int
    has_waiting: bool
    covered_until: datetime | None
    catch_up_per_minute: int | None
    defining: tuple[Any, ...]


@dataclass(frozen=True)
class Next:
    """When a schedule is due next, and by which of its states that was found out."""

    defining: tuple[Any, ...]
    covered_until: datetime | None
    definition: Definition | None  #: None: it has no revision yet that says the same.
    at: datetime | None


class Clock:
    """What one beat remembers between its looks: nothing that it could not find out again."""

    def __init__(self, now: Callable[[], datetime] = database_now) -> None:
        self._now = now
        self._next: dict[int, Next] = {}
        self._fired: dict[int, datetime | None] = {}

    def tick(self, longest: float) -> float:
        """
        Fire what is due and return the seconds until the next look, `longest` at most.

        One schedule that fails is alerted of, and holds no other.

        :raises Error: when the database is away.
        """
        now = self._now()
        return min([longest, *(self._look_at(look, now) for look in _look())])

    def _look_at(self, look: Look, now: datetime) -> float:
        try:
            return self._fire_if_due(look, now)
        except AWAY:
            raise
        except ValidationError as unreadable:
            _disable_unreadable(look.pk, unreadable)
            return float("inf")
        except Exception as error:
            _alert(look.pk, error)
            return PATIENCE_SECONDS

    def _fire_if_due(self, look: Look, now: datetime) -> float:
        next_at = self._next_slot(look)
        due = next_at is not None and next_at <= now
        if due or look.has_waiting:
            fire_due(look.pk, now=now)
        if due:
            return self._again(look)
        wait = (next_at - now).total_seconds() if next_at else float("inf")
        return min(wait, _pause(look)) if look.has_waiting else wait

    def _again(self, look: Look) -> float:
        """Look again at once; less eagerly where the last look has not moved the cursor either."""
        stuck = self._fired.get(look.pk) == look.covered_until is not None
        self._fired[look.pk] = look.covered_until
        return PATIENCE_SECONDS if stuck else AGAIN_SECONDS

    def _next_slot(self, look: Look) -> datetime | None:
        """Return the first slot that the ledger lacks; remembered until something changes."""
        known = self._next.get(look.pk)
        if known is None or known.defining != look.defining or known.definition is None:
            known = self._next[look.pk] = _first_undecided(look)
        elif known.covered_until != look.covered_until:
            known = self._next[look.pk] = _next(look, known.definition)
        return known.at


def _look() -> Iterable[Look]:
    """
    Read all of them, in one query.

    A disabled one too may have slots that wait, or that were due before; and somebody may have
    disabled it past Django's signals.
    """
    waiting = Slot.objects.filter(schedule=OuterRef("pk"), outcome=SlotOutcome.WAITING)
    # As text: one zone that this machine doesn't know would fail the look at all of them.
    zone = Cast("crontab__timezone", TextField())
    found = PeriodicTask.objects.annotate(has_waiting=Exists(waiting), zone=zone)
    rows = found.order_by("pk").values_list(*LOOKED_AT, *DEFINING)
    return [
        Look(pk, has_waiting, covered_until, rate, tuple(defining))
        for pk, has_waiting, covered_until, rate, *defining in rows
    ]


def _first_undecided(look: Look) -> Next:
    """
    Return when a schedule is due next: long ago, where somebody must look into it.

    That is where it was saved past Django's signals, or has changed since its ledger is complete:
    older slots may follow the definition before.
    """
    schedule = read_schedule(look.pk)
    if schedule is None:
        return Next(look.defining, look.covered_until, None, None)
    unseen = Next(look.defining, look.covered_until, None, LONG_AGO)
    if look.covered_until is None or look.catch_up_per_minute is None:
        return unseen
    definition, newest = definition_of(schedule), newest_revision(look.pk)
    if not newest or newest.definition != definition or newest.from_at > look.covered_until:
        return unseen
    return _next(look, definition)


def _next(look: Look, definition: Definition) -> Next:
    moment = _first_after(definition, look.covered_until or LONG_AGO)
    if moment is None and definition["enabled"] and not look.has_waiting:
        moment = LONG_AGO  # It has ended: to be disabled.
    return Next(look.defining, look.covered_until, definition, moment)


def _first_after(definition: Definition, moment: datetime) -> datetime | None:
    try:
        return next(slots_after(definition, moment), None)
    except BrokenSchedule:
        return LONG_AGO  # Due at once: to be disabled.


def _pause(look: Look) -> float:
    return min(60.0 / (look.catch_up_per_minute or 1), PATIENCE_SECONDS)


def _disable_unreadable(schedule_id: int, fault: ValidationError) -> None:
    """
    Disable a schedule that no model can read, such as one in a zone that this machine lacks.

    Losing the race means that another beat has disabled it, and alerted.
    """
    reason = "; ".join(fault.messages)
    enabled = PeriodicTask.objects.filter(pk=schedule_id, enabled=True)
    if enabled.update(enabled=False):
        ScheduleCursor.objects.filter(pk=schedule_id).update(disabled_reason=reason)
        _alert(schedule_id, fault)


def _alert(schedule_id: int, error: Exception) -> None:
    # Without its times: they may be what can't be read.
    schedule = PeriodicTask.objects.filter(pk=schedule_id).first()
    log_events.failed(schedule.name if schedule else str(schedule_id), error)
    try:
        if schedule is not None:
            alerts.alert_of_schedule(schedule, f"{type(error).__name__}: {error}")
    except AWAY:
        raise
    except Exception as another:  # Whatever it is: the other schedules have their slots.
        log_events.failed(schedule.name if schedule else str(schedule_id), another)

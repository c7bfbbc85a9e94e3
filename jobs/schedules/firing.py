"""Decides the slots of one schedule that are due, in one transaction: run, job and cursor."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from django.conf import settings
from django.db import transaction
from django_celery_beat.models import PeriodicTask

from jobs.errors import EnqueueRefused, UnknownTaskType
from jobs.models import ScheduleCursor, SchedulePolicy, ScheduleRevision, Slot
from jobs.schedules import alerts, log_events
from jobs.schedules.decide import Line, is_expired, is_missed, is_paused
from jobs.schedules.definitions import definition_of
from jobs.schedules.errors import BrokenSchedule
from jobs.schedules.locking import cursor_of, lock_schedule, policy_of
from jobs.schedules.revisions import (
    changed_by,
    definitions_since,
    newest_revision,
    note_change,
    revise,
)
from jobs.schedules.runs import count_waiting, has_live_jobs, let_go, note_run
from jobs.schedules.starting import call_of, start_job
from jobs.schedules.timing import InForce, slots_after, slots_in_force
from jobs.schedules.validity import check_schedule
from jobs.schedules.waiting import release_next
from jobs.states import OverlapPolicy, SlotOutcome

#: Slots written in one transaction: those of a long absence come in several.
SLOTS_AT_ONCE = 1_000

#: Why a schedule of one moment is disabled that has never run.
TOO_LATE = "clocked: its time had passed before it was saved; run it now, or choose another time."

STARTS = (SlotOutcome.RAN, SlotOutcome.LATE)


def fire_due(schedule_id: int, *, now: datetime) -> None:
    """
    Decide every slot of a schedule up to `now` and start the jobs of those that run.

    SLOTS_AT_ONCE of them; the cursor tells the next look where to go on. Another beat that has the
    schedule's lock does the same; the unique slot is what makes a double impossible even without
    the lock. Nothing is published here: the relay takes the jobs when this commits, and if it
    never does, no slot was decided.
    """
    with transaction.atomic():
        schedule = lock_schedule(schedule_id, wait=False)
        if schedule is None:
            return
        # What was changed past Django's signals is noticed here.
        revision = revise(schedule, newest_revision(schedule_id))
        cursor = cursor_of(schedule, now)
        if waits_for_a_deploy(schedule, revision, now):
            return
        turn = _turn(schedule, cursor, revision, now)
        decide = _refuse if turn.fault else _decide
        decide(turn)
        _move_cursor(cursor, turn.slots[-1] if turn.more else now)


@dataclass(frozen=True)
class Turn:
    """What one transaction decides: the next slots of a locked schedule, oldest first."""

    schedule: PeriodicTask
    cursor: ScheduleCursor
    now: datetime
    begin: datetime  #: From when its present times hold.
    slots: list[datetime]
    more: bool  #: Later ones are due too, and left for another turn.
    fault: str  #: Why the schedule can't be run; mostly nothing.


def _turn(
    schedule: PeriodicTask, cursor: ScheduleCursor, newest: ScheduleRevision, now: datetime
) -> Turn:
    # Slots older than the ledger keeps any are not made up.
    since = max(cursor.covered_until, now - timedelta(days=settings.JOBS_SLOTS_KEEP_DAYS))
    in_force = _in_force(newest, since)
    due = list(islice(slots_in_force(in_force, since, now), SLOTS_AT_ONCE + 1))
    return Turn(
        schedule,
        cursor,
        now,
        begin=in_force[-1][0],
        slots=due[:SLOTS_AT_ONCE],
        more=len(due) > SLOTS_AT_ONCE,
        fault=_fault_of(schedule),
    )


def _in_force(newest: ScheduleRevision, since: datetime) -> list[InForce]:
    """Return the definitions that the slots since a moment follow; mostly the newest alone."""
    if newest.from_at <= since and not newest.definition["one_off"]:
        return [(newest.from_at, newest.definition)]
    return definitions_since(newest.schedule_id, since)


def _decide(turn: Turn) -> None:
    line = _line(turn)
    newest = _newest_to_run(turn, line.policy)
    decided = [_decided(turn, line, at, is_newest=at == newest) for at in turn.slots]
    _write(turn.schedule, decided, turn.now)
    if line.waiting:
        release_next(turn.schedule, turn.cursor, turn.now)
    _end_if_done(turn)


def _line(turn: Turn) -> Line:
    policy = policy_of(turn.schedule)
    busy = policy.overlap != OverlapPolicy.ALLOW and has_live_jobs(turn.schedule)
    waiting = count_waiting(turn.schedule)
    expired = is_expired(turn.schedule, turn.now)
    return Line(policy, turn.now, busy=busy, waiting=waiting, expired=expired)


def _newest_to_run(turn: Turn, policy: SchedulePolicy) -> datetime | None:
    """Return the last slot that is due and not paused: the one that runs once for all missed."""
    if turn.more:
        return None
    return next((at for at in reversed(turn.slots) if not is_paused(policy, at)), None)


def _decided(turn: Turn, line: Line, at: datetime, *, is_newest: bool) -> Slot:
    slot = _new_slot(turn, at, line.decide(at, is_newest=is_newest))
    slot.missed = is_missed(line.policy, at, turn.now)
    return slot


def _write(schedule: PeriodicTask, slots: list[Slot], now: datetime) -> None:
    """Insert the slots with the jobs of those that start. A slot that is there already: undone."""
    started = [slot for slot in slots if slot.outcome in STARTS]
    for slot in started:
        slot.job = start_job(schedule, slot, now=now)
    Slot.objects.bulk_create(slots)
    log_events.decided(schedule, slots)
    if started:
        note_run(schedule, now, runs=len(started))


def _new_slot(turn: Turn, at: datetime, outcome: SlotOutcome, error: str = "") -> Slot:
    return Slot(
        schedule=turn.schedule,
        schedule_name=turn.schedule.name,
        at=at,
        outcome=outcome,
        decided_at=turn.now,
        error=error,
    )


def _move_cursor(cursor: ScheduleCursor, moment: datetime) -> None:
    """Only forward. The lock of the schedule is held: nobody else moves it."""
    if moment > cursor.covered_until:
        cursor.covered_until = moment
        cursor.save(update_fields=["covered_until"])


def _end_if_done(turn: Turn) -> None:
    """Disable a schedule that has no more slots, as django-celery-beat does."""
    schedule = turn.schedule
    if not schedule.enabled or turn.more:
        return
    # One whose slots still wait stays enabled until the last of them has had its turn.
    if not (_comes_again(turn) or count_waiting(schedule)):
        disable(schedule, TOO_LATE if _never_came(turn) else "")


def _comes_again(turn: Turn) -> bool:
    """Tell whether a slot is to come; a one-off's is the first since its times hold."""
    schedule = turn.schedule
    slots = slots_after(definition_of(schedule), turn.begin if schedule.one_off else turn.now)
    slot = next(slots, None)
    return slot is not None and slot > turn.now


def _never_came(turn: Turn) -> bool:
    clocked = turn.schedule.clocked
    return clocked is not None and clocked.clocked_time <= turn.begin


# --- Broken rows --------------------------------------------------------------------------------


def _fault_of(schedule: PeriodicTask) -> str:
    """Return why a schedule can't be run, or nothing."""
    try:
        check_schedule(schedule)
    except (BrokenSchedule, EnqueueRefused) as fault:
        return str(fault)
    return ""


def waits_for_a_deploy(schedule: PeriodicTask, revision: ScheduleRevision, now: datetime) -> bool:
    """
    Tell whether its task may be known soon: the release that brings it may be on its way.

    Its slots are left for JOBS_UNKNOWN_TYPE_SECONDS after its last change: a beat that knows the
    task decides them.
    """
    try:
        call_of(schedule)
    except UnknownTaskType:
        return now - revision.from_at < timedelta(seconds=settings.JOBS_UNKNOWN_TYPE_SECONDS)
    except BrokenSchedule:
        return False
    return False


def _refuse(turn: Turn) -> None:
    """Write the slots as failed; with the last of them disable the schedule, and alert of it."""
    Slot.objects.bulk_create(
        _new_slot(turn, at, SlotOutcome.FAILED, error=turn.fault) for at in turn.slots
    )
    if turn.more:
        return
    let_go(turn.schedule, turn.fault)
    if turn.schedule.enabled:
        disable(turn.schedule, turn.fault)
        alerts.alert_of_schedule(turn.schedule, turn.fault)


def disable(schedule: PeriodicTask, reason: str) -> None:
    """Disable a schedule, and write down why. The caller holds its lock."""
    PeriodicTask.objects.filter(pk=schedule.pk).update(enabled=False)
    ScheduleCursor.objects.filter(pk=schedule.pk).update(disabled_reason=reason)
    with changed_by("beat"):
        note_change(schedule.pk)
    log_events.disabled(schedule, reason)

"""Decides the slots of one schedule that are due, in one transaction: run, job and cursor."""

from datetime import datetime, timedelta
from itertools import islice

from django.conf import settings
from django.db import transaction
from django_celery_beat.models import PeriodicTask, PeriodicTasks

from jobs.errors import EnqueueRefused, UnknownTaskType
from jobs.models import ScheduleCursor, Slot
from jobs.schedules import alerts, log_events
from jobs.schedules.decide import Line, is_missed
from jobs.schedules.errors import BrokenSchedule
from jobs.schedules.locking import cursor_of, lock_schedule, policy_of
from jobs.schedules.revisions import changed_by, definitions_since, note_change
from jobs.schedules.runs import count_waiting, has_live_jobs, note_run
from jobs.schedules.starting import call_of, start_job
from jobs.schedules.timing import slots_in_force
from jobs.schedules.validity import check_schedule
from jobs.schedules.waiting import release_next
from jobs.states import SlotOutcome

#: Slots written in one transaction: those of a long absence come in several.
SLOTS_AT_ONCE = 1_000

STARTS = (SlotOutcome.RAN, SlotOutcome.LATE)


def fire_due(schedule_id: int, *, now: datetime) -> bool:
    """
    Decide every slot of a schedule up to `now` and start the jobs of those that run.

    Return True if there is more to do at once. Another beat that has the schedule's lock does
    the same; the unique slot is what makes a double impossible even without the lock. Nothing is
    published here: the relay takes the jobs when this commits, and if it never does, no slot was
    decided.
    """
    with transaction.atomic():
        schedule = lock_schedule(schedule_id, wait=False)
        if schedule is None or _waits_for_a_deploy(schedule, now):
            return False
        note_change(schedule_id)  # What was changed past Django's signals.
        cursor = cursor_of(schedule, now)
        if fault := _fault_of(schedule):
            _refuse_due(schedule, cursor, now, fault)
            return False
        more = _decide_due(schedule, cursor, now)
        release_next(schedule, cursor, now)
        return more


def _decide_due(schedule: PeriodicTask, cursor: ScheduleCursor, now: datetime) -> bool:
    """Write the slots since the cursor, oldest first; True if some are left for another turn."""
    due = _due(schedule, cursor, now)
    slots, more = due[:SLOTS_AT_ONCE], len(due) > SLOTS_AT_ONCE
    line = Line(
        policy_of(schedule), now, busy=has_live_jobs(schedule), waiting=count_waiting(schedule)
    )
    decided = []
    for number, at in enumerate(slots):
        is_newest = not more and number == len(slots) - 1
        slot = _new_slot(schedule, at, line.decide(at, is_newest=is_newest), now=now)
        slot.missed = is_missed(line.policy, at, now)
        decided.append(slot)
    _write(schedule, decided, now)
    _move_cursor(cursor, slots[-1] if more else now)
    _end_if_done(schedule, slots, now)
    return more


def _due(schedule: PeriodicTask, cursor: ScheduleCursor, now: datetime) -> list[datetime]:
    """Return the slots since the cursor, and one more than are written at once."""
    # Slots older than the ledger keeps any are not made up.
    since = max(cursor.covered_until, now - timedelta(days=settings.JOBS_SLOTS_KEEP_DAYS))
    slots = slots_in_force(definitions_since(schedule.pk, since), since, now)
    return list(islice(slots, SLOTS_AT_ONCE + 1))


def _write(schedule: PeriodicTask, slots: list[Slot], now: datetime) -> None:
    """Insert the slots with the jobs of those that start. A slot that is there already: undone."""
    started = [slot for slot in slots if slot.outcome in STARTS]
    for slot in started:
        slot.job = start_job(schedule, slot, now=now)
    Slot.objects.bulk_create(slots)
    log_events.decided(schedule, slots)
    if started:
        note_run(schedule, now, runs=len(started))


def _new_slot(
    schedule: PeriodicTask, at: datetime, outcome: SlotOutcome, *, now: datetime, error: str = ""
) -> Slot:
    name = schedule.name
    return Slot(
        schedule=schedule, schedule_name=name, at=at, outcome=outcome, decided_at=now, error=error
    )


def _move_cursor(cursor: ScheduleCursor, moment: datetime) -> None:
    """Only forward. The lock of the schedule is held: nobody else moves it."""
    if moment > cursor.covered_until:
        cursor.covered_until = moment
        cursor.save(update_fields=["covered_until"])


def _end_if_done(schedule: PeriodicTask, slots: list[datetime], now: datetime) -> None:
    """Disable a schedule that has no more slots, as django-celery-beat does."""
    if not schedule.enabled:
        return
    expired = schedule.expires is not None and now >= schedule.expires
    if (schedule.one_off and slots) or expired:
        disable(schedule, "")


# --- Broken rows --------------------------------------------------------------------------------


def _fault_of(schedule: PeriodicTask) -> str:
    """Return why a schedule can't be run, or nothing."""
    try:
        check_schedule(schedule)
    except (BrokenSchedule, EnqueueRefused) as fault:
        return str(fault)
    return ""


def _waits_for_a_deploy(schedule: PeriodicTask, now: datetime) -> bool:
    """
    Tell whether its task may be known soon: the release that brings it may be on its way.

    Its slots are left for JOBS_UNKNOWN_TYPE_SECONDS: a beat that knows the task decides them.
    """
    try:
        call_of(schedule)
    except UnknownTaskType:
        wait = timedelta(seconds=settings.JOBS_UNKNOWN_TYPE_SECONDS)
        revisions = definitions_since(schedule.pk, now)
        return not revisions or now - revisions[-1][0] < wait
    except BrokenSchedule:
        return False
    return False


def _refuse_due(schedule: PeriodicTask, cursor: ScheduleCursor, now: datetime, fault: str) -> None:
    """Write its due slots as failed, disable it with the reason, and alert of it."""
    due = _due(schedule, cursor, now)
    Slot.objects.bulk_create(
        _new_slot(schedule, at, SlotOutcome.FAILED, now=now, error=fault) for at in due
    )
    _move_cursor(cursor, now)
    if schedule.enabled:
        disable(schedule, fault)
        alerts.alert_of_schedule(schedule, fault)


def disable(schedule: PeriodicTask, reason: str) -> None:
    """Disable a schedule, and write down why. The caller holds its lock."""
    PeriodicTask.objects.filter(pk=schedule.pk).update(enabled=False)
    ScheduleCursor.objects.filter(pk=schedule.pk).update(disabled_reason=reason)
    PeriodicTasks.update_changed()
    with changed_by("beat"):
        note_change(schedule.pk)
    log_events.disabled(schedule, reason)

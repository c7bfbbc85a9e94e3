"""Starts slots that wait, oldest first: for a predecessor, or for their turn to be caught up."""

from datetime import datetime, timedelta

from django_celery_beat.models import PeriodicTask

from jobs.models import ScheduleCursor, Slot
from jobs.schedules import log_events
from jobs.schedules.decide import is_expired, is_paused
from jobs.schedules.locking import policy_of
from jobs.schedules.runs import has_live_jobs, let_go, note_run, waiting_slots
from jobs.schedules.starting import start_job
from jobs.states import OverlapPolicy, SlotOutcome

DISABLED_MEANWHILE = "The schedule was disabled while the slot waited."
EXPIRED_MEANWHILE = "The schedule expired while the slot waited."


def release_next(schedule: PeriodicTask, cursor: ScheduleCursor, now: datetime) -> None:
    """
    Start the oldest slot that waits, if its turn has come; the caller holds the schedule's lock.

    One in each turn, so that those of a day are started in order and at the schedule's own rate.
    """
    slot = _oldest(schedule)
    if slot is None:
        return
    if not schedule.enabled:
        let_go(schedule, DISABLED_MEANWHILE)
    elif is_expired(schedule, now):
        let_go(schedule, EXPIRED_MEANWHILE)
    elif _may_start(schedule, cursor, slot, now):
        _start(schedule, cursor, slot, now)


def seconds_until_release(schedule: PeriodicTask, cursor: ScheduleCursor, now: datetime) -> float:
    """Return how long the rate of catching up holds the next one back."""
    if cursor.released_at is None:
        return 0.0
    pause = timedelta(seconds=60 / policy_of(schedule).catch_up_per_minute)
    return max((cursor.released_at + pause - now).total_seconds(), 0.0)


def _oldest(schedule: PeriodicTask) -> Slot | None:
    return waiting_slots(schedule).order_by("at").first()


def _may_start(schedule: PeriodicTask, cursor: ScheduleCursor, slot: Slot, now: datetime) -> bool:
    policy = policy_of(schedule)
    if is_paused(policy, now):
        return False
    if slot.missed and seconds_until_release(schedule, cursor, now) > 0:
        return False
    alone = policy.overlap != OverlapPolicy.ALLOW
    return not (alone and has_live_jobs(schedule))


def _start(schedule: PeriodicTask, cursor: ScheduleCursor, slot: Slot, now: datetime) -> None:
    slot.job = start_job(schedule, slot, now=now)
    slot.outcome = SlotOutcome.CAUGHT_UP if slot.missed else SlotOutcome.LATE
    slot.decided_at = now
    slot.save(update_fields=["job", "outcome", "decided_at"])
    cursor.released_at = now
    cursor.save(update_fields=["released_at"])
    note_run(schedule, now, runs=1)
    log_events.decided(schedule, [slot])

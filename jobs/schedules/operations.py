"""What people do to schedules: run them now, pause and resume them, switch them on and off."""

from datetime import datetime

from django.conf import settings
from django.db import transaction
from django_celery_beat.models import PeriodicTask

from jobs.database_clock import database_now
from jobs.models import ScheduleCursor, SchedulePolicy, Slot
from jobs.schedules import log_events, queries
from jobs.schedules.decide import is_expired
from jobs.schedules.errors import BrokenSchedule, PretendedTimeRefused, UnknownSchedule
from jobs.schedules.locking import cursor_of, lock_schedule, policy_of
from jobs.schedules.revisions import changed_by, note_change
from jobs.schedules.runs import note_run
from jobs.schedules.starting import start_job
from jobs.schedules.validity import check_schedule
from jobs.states import SlotOutcome


@transaction.atomic
def trigger_schedule(*, schedule_id: int, by: str, at: datetime | None = None) -> Slot:
    """
    Run a schedule now, beside its slots: enabled or not, whatever its policies say.

    With the schedule's priority, expiry and headers, as by the clock. `at` pretends the moment that
    the job works for; the slots of the clock are not touched.

    :raises PretendedTimeRefused: for a moment to come, unless DEBUG is on.
    :raises BrokenSchedule: if it can't be run as it stands.
    :raises EnqueueRefused: if its task is unknown, or its payload doesn't fit.
    """
    now = database_now()
    _refuse_future(at, now)
    schedule = _locked(schedule_id)
    check_schedule(schedule)
    if is_expired(schedule, now):
        raise BrokenSchedule("expires: it has passed, so that the job would expire unrun.")
    slot = Slot(schedule=schedule, schedule_name=schedule.name, at=at or now, decided_at=now)
    slot.outcome, slot.asked_by = SlotOutcome.RAN, by[:200]
    slot.job = start_job(schedule, slot, now=now)
    slot.save(force_insert=True)
    note_run(schedule, now, runs=1)
    log_events.triggered(schedule, slot)
    return slot


def trigger_matching(*, wanted: str, by: str, at: datetime | None = None) -> list[Slot]:
    """
    Run the schedule of this name, or each that has this cron pattern; all of them or none.

    :raises UnknownSchedule: if there is none; the error lists those that there are.
    """
    with transaction.atomic():
        found = queries.find_schedules(wanted)
        # In the order in which a change of shared times locks them, too.
        ids = sorted(each.pk for each in found)
        return [trigger_schedule(schedule_id=each, by=by, at=at) for each in ids]


@transaction.atomic
def pause_schedule(*, schedule_id: int, until: datetime, by: str) -> None:
    """
    Skip a schedule's slots from now until a moment; `resume_schedule` ends it earlier.

    :raises BrokenSchedule: if the moment has passed.
    """
    now = database_now()
    if until <= now:
        raise BrokenSchedule(f"pause until: {until:%Y-%m-%d %H:%M} has passed.")
    schedule = _locked(schedule_id)
    policy = policy_of(schedule)
    # What has been paused already stays so from its own beginning.
    paused = policy.paused_until is not None and policy.paused_until > now
    policy.paused_from = policy.paused_from if paused else now
    policy.paused_until = until
    _save_pause(policy, schedule, by)


@transaction.atomic
def resume_schedule(*, schedule_id: int, by: str) -> None:
    """End a pause now; the slots that it skipped stay skipped."""
    schedule = _locked(schedule_id)
    policy, now = policy_of(schedule), database_now()
    if policy.paused_until is not None and policy.paused_until > now:
        policy.paused_until = now
        _save_pause(policy, schedule, by)


@transaction.atomic
def switch_schedule(*, schedule_id: int, enabled: bool, by: str) -> None:
    """
    Enable or disable a schedule: it has no slots while it is disabled, and none are made up.

    :raises BrokenSchedule: if it can't be run as it stands, so that it would be disabled again.
    :raises EnqueueRefused: as above.
    """
    schedule = _locked(schedule_id)
    if enabled:
        check_schedule(schedule)
        ScheduleCursor.objects.filter(pk=schedule_id).update(disabled_reason="")
    # By `update`, past `save`: that would forget when it last ran.
    PeriodicTask.objects.filter(pk=schedule_id).update(enabled=enabled)
    with changed_by(by):
        note_change(schedule_id)


def _save_pause(policy: SchedulePolicy, schedule: PeriodicTask, by: str) -> None:
    with changed_by(by):
        policy.save(update_fields=["paused_from", "paused_until"])
    log_events.paused(schedule, policy.paused_until, by)


def _locked(schedule_id: int) -> PeriodicTask:
    schedule = lock_schedule(schedule_id, wait=True)
    if schedule is None:
        raise UnknownSchedule(str(schedule_id), queries.known_schedules())
    cursor_of(schedule, database_now())
    return schedule


def _refuse_future(at: datetime | None, now: datetime) -> None:
    if at is not None and at > now and not settings.DEBUG:
        raise PretendedTimeRefused(
            f"{at.isoformat()} is to come: a clean-up would delete what has not expired. "
            "With DEBUG it can be pretended."
        )

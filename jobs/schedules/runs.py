"""What of a schedule runs, waits and has run."""

from datetime import datetime

from django.db.models import F, QuerySet
from django_celery_beat.models import PeriodicTask

from jobs.models import Job, Slot
from jobs.states import SlotOutcome


def has_live_jobs(schedule: PeriodicTask) -> bool:
    """Tell whether a job of one of its slots, or one that such a job enqueued, is live."""
    return Job.objects.live().filter(slot__schedule=schedule).exists()


def waiting_slots(schedule: PeriodicTask) -> QuerySet[Slot]:
    return Slot.objects.filter(schedule=schedule, outcome=SlotOutcome.WAITING)


def count_waiting(schedule: PeriodicTask) -> int:
    return waiting_slots(schedule).count()


def let_go(schedule: PeriodicTask, why: str) -> None:
    """Nobody wants those that wait any more. The schedule's lock is held: none starts meanwhile."""
    waiting_slots(schedule).update(outcome=SlotOutcome.SKIPPED_BY_POLICY, error=why)


def note_run(schedule: PeriodicTask, now: datetime, *, runs: int) -> None:
    """Keep django-celery-beat's own columns; not by `save`, which would be a change of it."""
    PeriodicTask.objects.filter(pk=schedule.pk).update(
        last_run_at=now, total_run_count=F("total_run_count") + runs
    )

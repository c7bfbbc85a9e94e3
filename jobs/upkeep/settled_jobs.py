"""Deletes jobs that settled long ago, with their attempts."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from jobs.models import DeadLetter, Job
from jobs.states import SETTLED, DeadLetterState, JobState
from jobs.upkeep import log_events
from jobs.upkeep.batches import act_in_batches

#: A batch is short, for each job takes its attempts with it and is forgotten by its export.
BATCH_JOBS = 1_000


def delete_settled_jobs(*, now: datetime) -> int:
    """
    Delete jobs that settled over JOBS_KEEP_DAYS ago; return how many.

    Never one whose dead letter is open, or not stored yet: somebody still has to see its cause.
    """
    before = now - timedelta(days=settings.JOBS_KEEP_DAYS)
    old = _done_with().filter(settled_at__lt=before)
    rows = act_in_batches(old, _delete, by="settled_at", size=BATCH_JOBS)
    log_events.deleted("jobs", rows, before=before)
    return rows


def _done_with() -> QuerySet[Job]:
    letters = DeadLetter.objects.filter(job=OuterRef("pk"), state=DeadLetterState.OPEN)
    unstored = Q(state=JobState.FAILED, dead_lettered_at=None)
    return Job.objects.filter(~unstored, ~Exists(letters), state__in=SETTLED)


def _delete(jobs: QuerySet[Job]) -> None:
    """
    Delete locked jobs, and let their replays and exports forget them.

    A replay of one at this very moment loses: it waits for the lock, and then fails as one of a
    job that is gone.
    """
    jobs.only("pk").delete()

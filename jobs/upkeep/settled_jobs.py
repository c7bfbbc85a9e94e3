"""Deletes jobs that settled long ago, with their attempts."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from jobs.ids import first_id_of
from jobs.models import DeadLetter, Job
from jobs.states import SETTLED, DeadLetterState, JobState
from jobs.upkeep import log_events
from jobs.upkeep.batches import act_in_batches

#: A batch is short, for each job takes its attempts with it and is forgotten by its export.
BATCH_JOBS = 1_000

#: By how much the clock that made an id may differ from the database's, which settled the job.
CLOCKS_DIFFER = timedelta(days=1)


def delete_settled_jobs(*, now: datetime) -> int:
    """
    Delete jobs that settled over JOBS_KEEP_DAYS ago; return how many.

    Never one whose dead letter is open, or not stored yet: somebody still has to see its cause.
    """
    before = now - timedelta(days=settings.JOBS_KEEP_DAYS)
    old = _done_with().filter(settled_at__lt=before)
    rows = sum(
        act_in_batches(old.filter(ids), _delete, size=BATCH_JOBS) for ids in _ids(before, now)
    )
    log_events.deleted("jobs", rows, before=before)
    return rows


def _done_with() -> QuerySet[Job]:
    letters = DeadLetter.objects.filter(job=OuterRef("pk"), state=DeadLetterState.OPEN)
    unstored = Q(state=JobState.FAILED, dead_lettered_at=None)
    return Job.objects.filter(~unstored, ~Exists(letters), state__in=SETTLED)


def _ids(before: datetime, now: datetime) -> tuple[Q, Q]:
    """
    Return where jobs of that age can be, by their ids: there is no index on `settled_at`.

    A job was made before it settled, and our ids rise with time: that walk ends where jobs are
    too young. Those of other programs' messages have random ids, which lie beyond all of ours.
    """
    ours = Q(pk__lt=first_id_of(before + CLOCKS_DIFFER))
    return ours, Q(pk__gte=first_id_of(now + CLOCKS_DIFFER))


def _delete(jobs: QuerySet[Job]) -> None:
    """
    Delete locked jobs, and let their replays and exports forget them.

    A replay of one at this very moment loses: it waits for the lock, and then fails as one of a
    job that is gone.
    """
    jobs.only("pk").delete()

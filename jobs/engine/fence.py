"""Lets an attempt write only while the job is still its own."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from jobs.engine import lifecycle
from jobs.errors import MoveRefused
from jobs.models import Job
from jobs.states import JobState


@contextmanager
def fence(job: Job) -> Iterator[None]:
    """
    Open a short transaction that holds the job's row: nobody can take it over or cancel it inside.

    :raises MoveRefused: if it was cancelled or given to another attempt; nothing is written.
    """
    with transaction.atomic():
        mine = Job.objects.select_for_update(no_key=True).filter(
            pk=job.pk, state=JobState.RUNNING, dispatch=job.dispatch, attempt=job.attempt
        )
        if not mine.values_list("pk").first():
            raise MoveRefused(job, "written by this attempt")
        yield


@contextmanager
def succeeding(job: Job) -> Iterator[None]:
    """
    Open a fenced transaction that ends by settling the job as succeeded.

    :raises MoveRefused: if it was cancelled or given to another attempt; nothing is written.
    """
    with fence(job):
        yield
        lifecycle.succeed(job)

"""Lets an attempt write only while the job is still its own."""

from collections.abc import Iterator
from contextlib import contextmanager

from jobs.engine import lifecycle
from jobs.models import Job


@contextmanager
def fence(job: Job) -> Iterator[None]:
    """
    Open a short transaction that holds the job's row: nobody can take it over or cancel it inside.

    PostgreSQL rolls it back if it idles for longer than a lease.

    :raises MoveRefused: if it was cancelled or given to another attempt; nothing is written.
    """
    with lifecycle.transaction_of(job):
        lifecycle.hold(job)
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

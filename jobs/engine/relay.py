"""Hands due jobs to the broker: takes a batch, publishes it, puts back what is unconfirmed."""

import time
from datetime import timedelta

from django.conf import settings
from django.db import connection

from jobs import log_events
from jobs.engine import lifecycle, message, statements
from jobs.engine.publisher import Publisher, Unconfirmed
from jobs.errors import MoveRefused, Unroutable
from jobs.lanes import lane_names
from jobs.models import Job
from jobs.states import JobState

#: How soon a slot that a settled job frees is looked for while others wait for it.
HELD_BACK_SECONDS = 0.05

#: How long a job rests that the broker returned or refused, before it is sent again.
RETURNED_REST = timedelta(seconds=5)


def relay_due_jobs(publisher: Publisher) -> int:
    """
    Hand one batch to the broker and return how many jobs were taken.

    Two short transactions and no row lock while the broker is spoken to. A process that dies
    between them leaves jobs `queued` without a message; recovery sends those again.

    :raises Unconfirmed: when the broker is away; the jobs without a confirm are waiting again.
    """
    started = time.monotonic()
    publisher.connect()
    messages = [
        message.from_taken(row) for row in lifecycle.take_due(settings.JOBS_RELAY_BATCH_JOBS)
    ]
    if not messages:
        return 0
    dispatches = {each.id: each.dispatch for each in messages}
    try:
        faults = publisher.send(messages)
    except Unconfirmed as error:
        # Unknown, not failed: a copy that arrives after all is stale by the next dispatch.
        for job in _still_queued(error.unconfirmed, dispatches):
            _put_back(job, f"not confirmed: {error}")
        raise
    for job in _still_queued(list(faults), dispatches):
        _settle_fault(job, faults[str(job.pk)])
    log_events.relayed(len(messages), time.monotonic() - started)
    return len(messages)


def seconds_until_due() -> float:
    """Return how long the relay may sleep unless it is notified."""
    poll = float(settings.JOBS_RELAY_POLL_SECONDS)
    with connection.cursor() as cursor:
        cursor.execute(statements.seconds_until_due(), [])
        (seconds,) = cursor.fetchone()
    return poll if seconds is None else min(poll, max(float(seconds), HELD_BACK_SECONDS))


def _still_queued(ids: list[str], dispatches: dict[str, int]) -> list[Job]:
    """Return those that no worker has claimed in the meantime."""
    jobs = Job.objects.filter(pk__in=ids, state=JobState.QUEUED)
    return [job for job in jobs if job.dispatch == dispatches[str(job.pk)]]


def _settle_fault(job: Job, reason: str) -> None:
    """A lane that is not in the topology can never be reached; anything else may pass."""
    log_events.returned(str(job.pk), reason)
    if job.queue in lane_names():
        _put_back(job, reason, rest=RETURNED_REST)
        return
    try:
        lifecycle.fail(job, Unroutable(f"No queue is bound for lane {job.queue!r}."), outcome=None)
    except MoveRefused:
        return  # Cancelled meanwhile.


def _put_back(job: Job, why: str, *, rest: timedelta = timedelta(0)) -> None:
    try:
        lifecycle.put_back(job, why, rest=rest)
    except MoveRefused:
        return  # A worker has claimed it, so the message arrived; or it was cancelled.

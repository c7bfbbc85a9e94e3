"""Decides what a dead message means, by the state of its job: the design's table, row for row."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from celery import current_app
from celery.utils.time import get_exponential_backoff_interval
from django.conf import settings
from django.db.models.functions import Now

from jobs.dead_letters.diagnosis import why_refused
from jobs.engine import lifecycle
from jobs.engine.dead_message import DeadMessage
from jobs.engine.foreign import UNKNOWN_TYPE_REST
from jobs.errors import ProcessDied, UnknownTaskType
from jobs.models import Job
from jobs.states import JobState
from jobs.task import JobTask

#: What the broker calls the death of a message that was delivered too often.
DELIVERY_LIMIT = "delivery_limit"


def is_dead(job: Job, message: DeadMessage) -> bool:
    """
    Act on the job's death and return whether it is one: False for what goes on.

    :raises Superseded: when the job has gone on without this message.
    :raises MoveRefused: when the job moved meanwhile; the caller looks again.
    """
    row = ROWS.get(JobState(job.state))
    if row is None or job.dispatch != message.dispatch:
        raise Superseded
    return row(job, message)


class Superseded(Exception):
    """The message is of another dispatch, or its job has gone on without it."""


def _failed(job: Job, message: DeadMessage) -> bool:
    """Settled before its message was rejected."""
    return True


def _running(job: Job, message: DeadMessage) -> bool:
    """The process died without a word."""
    if message.reason == DELIVERY_LIMIT and _lease_lives(job):
        raise Superseded  # Another copy of the dispatch runs; this one was only sent too often.
    error = ProcessDied(f"The process that ran it on {job.worker} died without a word.")
    task = current_app.tasks.get(job.type, JobTask)
    if task.max_retries is None or job.failures < task.max_retries:
        lifecycle.retry_later(job, error, _usual_wait(task, job.failures))
        return False
    lifecycle.fail(job, error)
    return True


def _queued(job: Job, message: DeadMessage) -> bool:
    """Never ran: a neighbour of what kills workers, a type of a deploy, or not readable."""
    if message.reason == DELIVERY_LIMIT:
        lifecycle.put_back(job, "its message was delivered too often without being run")
        return False
    error = why_refused(message)
    if isinstance(error, UnknownTaskType) and _may_be_deploy(job):
        lifecycle.put_back(job, "no worker knew its type", rest=UNKNOWN_TYPE_REST)
        return False
    lifecycle.fail(job, error, outcome=None)
    return True


ROWS: dict[JobState, Callable[[Job, DeadMessage], bool]] = {
    JobState.FAILED: _failed,
    JobState.RUNNING: _running,
    JobState.QUEUED: _queued,
}


def _may_be_deploy(job: Job) -> bool:
    """Ask the database, by whose clock jobs are handed over."""
    since = Now() - timedelta(seconds=settings.JOBS_UNKNOWN_TYPE_SECONDS)
    return Job.objects.filter(pk=job.pk, first_queued_at__gt=since).exists()


def _lease_lives(job: Job) -> bool:
    return Job.objects.filter(pk=job.pk, lease_until__gt=Now()).exists()


def _usual_wait(task: Any, failures: int) -> timedelta:
    """Return the wait that Celery's autoretry would have asked for."""
    if not task.retry_backoff:
        return timedelta(seconds=task.default_retry_delay)
    seconds = get_exponential_backoff_interval(
        factor=int(task.retry_backoff),
        retries=failures,
        maximum=task.retry_backoff_max,
        full_jitter=task.retry_jitter,
    )
    return timedelta(seconds=seconds)

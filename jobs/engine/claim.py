"""Decides what to do with a message: run its job, or refuse it as a copy."""

import uuid
from dataclasses import dataclass
from typing import Any

from celery.exceptions import Reject
from django.conf import settings
from django.db.models.functions import Now

from jobs import log_events, registry
from jobs.engine import foreign, lifecycle
from jobs.errors import JobExpired, LossesSpent, NotThisTime
from jobs.models import Job
from jobs.states import JobState, Outcome


@dataclass(frozen=True)
class Message:
    """What a delivery says of itself."""

    id: uuid.UUID
    type: str
    dispatch: int | None  #: None: not from our relay, but from another program.
    redelivered: bool
    payload: dict[str, Any]
    tenant_id: str | None = None
    user_id: str | None = None


def claim(message: Message, *, worker: str, again: bool = False) -> Job:
    """
    Return the message's job, running in a new attempt of this worker.

    `again` says that a try before this one may have been committed without an answer.

    :raises NotThisTime: when this delivery must not run; it is acknowledged and forgotten.
    :raises Reject: without requeue, when its job has failed: the message is the dead letter.
    """
    if message.dispatch is None:
        foreign.store_queued(
            message.id,
            job_type=message.type,
            payload=message.payload,
            tenant_id=message.tenant_id,
            user_id=message.user_id,
        )
    dispatch = message.dispatch or 0
    job_type = registry.find_type(message.type)
    durable = job_type is None or not job_type.atomic
    job = lifecycle.claim(message.id, dispatch, worker=worker, durable=durable)
    if job is None:
        job = _second_look(message, dispatch, worker, again)
    log_events.claimed(job)
    return job


def _second_look(message: Message, dispatch: int, worker: str, again: bool) -> Job:
    """The job was not simply queued: find out why, and whether this delivery still has a claim."""
    job = Job.objects.filter(pk=message.id).first()
    if job is None:
        raise _ignored(message, "its job is not in the ledger")
    if job.dispatch != dispatch:
        raise _ignored(message, f"stale: the job is in dispatch {job.dispatch}")
    if job.state == JobState.QUEUED and job.expires_at:
        expired = JobExpired(f"It expired at {job.expires_at.isoformat()}.")
        lifecycle.fail(job, expired, outcome=None, message_follows=True)
        raise _died(message, "expired")
    if job.state == JobState.FAILED and job.dead_lettered_at is None:
        # Whoever settled it died before its message was rejected.
        raise _died(message, "the job failed, and its dead letter is missing")
    if job.state != JobState.RUNNING:
        raise _ignored(message, f"the job is {job.state}")
    if again and job.worker == worker:
        return job  # Ours: the connection broke between the commit and its answer.
    if not message.redelivered and _is_alive(job):
        raise _ignored(message, "a duplicate: the job is running")
    return _take_over(message, job, worker)


def _take_over(message: Message, job: Job, worker: str) -> Job:
    """The broker says that the worker is gone, or its lease is over: this one goes on."""
    if job.losses >= settings.JOBS_LOSSES_MAX:
        spent = LossesSpent(f"Its process died {job.losses + 1} times.")
        lifecycle.fail(job, spent, outcome=Outcome.LOST, message_follows=True)
        raise _died(message, "losses spent")
    lifecycle.take_over(job, worker=worker)
    return job


def _is_alive(job: Job) -> bool:
    """Ask the database, by whose clock leases run."""
    return Job.objects.filter(pk=job.pk, lease_until__gt=Now()).exists()


def _ignored(message: Message, reason: str) -> NotThisTime:
    log_events.copy_ignored(str(message.id), message.dispatch or 0, reason)
    return NotThisTime(reason)


def _died(message: Message, reason: str) -> Reject:
    """Return what sends the message to the dead-letter exchange."""
    log_events.copy_rejected(str(message.id), message.dispatch or 0, reason)
    return Reject(reason, requeue=False)

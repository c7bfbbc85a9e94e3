"""Writes a job as a Celery message, protocol 2."""

import json
import os
import socket
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.conf import settings

from jobs.models import Job

ORIGIN = f"relay-{os.getpid()}@{socket.gethostname()}"

#: What Flower shows of the payload; Celery cuts at the same length.
SHOWN_MAX_CHARACTERS = 1024

#: The header of a dead letter that no broker made: it has no `x-death`.
SENT_BY_RELAY = "dead_letter_of_ledger"

_EMBED = '{"callbacks": null, "errbacks": null, "chain": null, "chord": null}'


@dataclass(frozen=True, slots=True)
class Message:
    """One message for the broker; its id is the job's."""

    id: str
    dispatch: int
    queue: str
    routing_key: str
    headers: dict[str, Any]
    body: str
    exchange: str = settings.CELERY_TASK_DEFAULT_EXCHANGE
    #: 0 to 255, as the queue supports it; None leaves it to the broker.
    priority: int | None = None


def from_taken(row: Sequence[Any]) -> Message:
    """Build the message of a row of `lifecycle.take_due`, without building the model."""
    job_id, job_type, queue, payload, tenant, user, created, dispatch, failures, options = row
    if not isinstance(payload, str):
        payload = json.dumps(payload)
    if isinstance(job_id, str):  # SQLite keeps UUIDs as text without dashes.
        job_id, tenant, user = uuid.UUID(job_id), uuid.UUID(tenant), user and uuid.UUID(user)
    return _message(
        str(job_id), job_type, queue, payload, tenant, user, _iso(created), dispatch, failures,
        json.loads(options) if isinstance(options, str) else options,
    )  # fmt: skip


def from_job(job: Job) -> Message:
    """Build another copy of the job's current dispatch."""
    return _message(
        str(job.pk), job.type, job.queue, json.dumps(job.payload), job.tenant_id, job.user_id,
        _iso(job.created_at), job.dispatch, job.failures, job.message_options,
    )  # fmt: skip


def from_dead(job: Job) -> Message:
    """Build the dead letter of a failed job whose own message is gone."""
    message = from_job(job)
    headers = {**message.headers, SENT_BY_RELAY: True}
    return replace(message, headers=headers, exchange=settings.JOBS_DEAD_LETTER_QUEUE.exchange.name)


def _message(
    job_id: str,
    job_type: str,
    queue: str,
    payload: str,
    tenant: Any,
    user: Any,
    created: str,
    dispatch: int,
    failures: int,
    options: dict[str, Any] | None,
) -> Message:
    options = options or {}
    headers = {
        **options.get("headers", {}),  # First: they can't take the place of one of the engine's.
        "lang": "py",
        "task": job_type,
        "id": job_id,
        "root_id": job_id,
        "parent_id": None,
        "group": None,
        "shadow": None,
        "eta": None,
        "expires": None,  # Judged at the claim: Celery would acknowledge in silence.
        "retries": failures,
        "timelimit": [None, None],
        "argsrepr": "()",
        "kwargsrepr": payload[:SHOWN_MAX_CHARACTERS],
        "origin": ORIGIN,
        "ignore_result": True,
        "tenant_id": str(tenant),
        "user_id": str(user) if user else None,
        "enqueued_at": created,
        "dispatch": dispatch,
    }
    body = f"[[], {payload}, {_EMBED}]"
    routing_key = f"{queue}.{job_type}"
    priority = options.get("priority")
    return Message(job_id, dispatch, queue, routing_key, headers, body, priority=priority)


def _iso(moment: Any) -> str:
    return moment.isoformat() if isinstance(moment, datetime) else str(moment)

"""Writes a job as a Celery message, protocol 2."""

import json
import os
import socket
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jobs.models import Job

ORIGIN = f"relay-{os.getpid()}@{socket.gethostname()}"

#: What Flower shows of the payload; Celery cuts at the same length.
SHOWN_MAX_CHARACTERS = 1024

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


def from_taken(row: Sequence[Any]) -> Message:
    """Build the message of a row of `lifecycle.take_due`, without building the model."""
    job_id, job_type, queue, payload, tenant, user, created, dispatch, failures = row
    if not isinstance(payload, str):
        payload = json.dumps(payload)
    if isinstance(job_id, str):  # SQLite keeps UUIDs as text without dashes.
        job_id, tenant, user = uuid.UUID(job_id), uuid.UUID(tenant), user and uuid.UUID(user)
    return _message(
        str(job_id), job_type, queue, payload, tenant, user, _iso(created), dispatch, failures
    )


def from_job(job: Job) -> Message:
    """Build another copy of the job's current dispatch."""
    return _message(
        str(job.pk), job.type, job.queue, json.dumps(job.payload), job.tenant_id, job.user_id,
        _iso(job.created_at), job.dispatch, job.failures,
    )  # fmt: skip


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
) -> Message:
    headers = {
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
    return Message(job_id, dispatch, queue, f"{queue}.{job_type}", headers, body)


def _iso(moment: Any) -> str:
    return moment.isoformat() if isinstance(moment, datetime) else str(moment)

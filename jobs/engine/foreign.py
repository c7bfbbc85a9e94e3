"""Gives messages of other programs their row in the ledger: dispatch 0, for no relay sent them."""

import uuid
from collections.abc import Callable
from copy import copy
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone
from pydantic import BaseModel

from jobs import payloads, registry
from jobs.errors import PayloadRefused
from jobs.models import Job
from jobs.states import SYSTEM_TENANT, JobState

#: How soon a type that no worker knew is tried again: one that knows it may have come up.
UNKNOWN_TYPE_REST = timedelta(seconds=30)


def store_queued(
    job_id: uuid.UUID, *, job_type: str, payload: Any, tenant_id: Any, user_id: Any
) -> None:
    """
    Store a job whose message is being claimed, as if it had been handed over.

    :raises UnknownTaskType: if this process doesn't know the type.
    """
    known = registry.get_type(job_type)
    tenant = uuid.UUID(str(tenant_id or SYSTEM_TENANT))
    try:
        model = known.read(payload)
    except PayloadRefused:
        model = None  # It gets its row all the same, and fails when it runs.
    row = Job(
        id=job_id,
        type=job_type,
        queue=known.queue,
        partition=known.partition_of(tenant, model),
        tenant_id=tenant,
        user_id=user_id,
        payload=payload,
        state=JobState.QUEUED,
        first_queued_at=timezone.now(),
        queued_at=timezone.now(),
    )
    if known.put_away and model and _store_apart(row, known.put_away, model):
        return
    # Losing the race means that another delivery of the message has stored it.
    Job.objects.bulk_create([row], ignore_conflicts=True)


def _store_apart(row: Job, put_away: Callable[[Job, Any], BaseModel], model: BaseModel) -> bool:
    """
    Store the job, and elsewhere what its type keeps there; False if that can't be.

    Then another delivery has stored both, or the message names a tenant that is not there.
    """
    stored = copy(row)
    try:
        with transaction.atomic():
            stored.payload = payloads.as_json(put_away(stored, model))
            stored.save(force_insert=True)
    except IntegrityError:
        return False
    return True


def store_waiting(
    job_id: uuid.UUID, *, job_type: str, queue: str, payload: Any, tenant_id: Any, user_id: Any
) -> None:
    """
    Store a job of a type that no worker knew: the relay sends it, in case a deploy is under way.

    It waits 30 s, as one of our own would, and dies like one when the ten minutes are over.
    """
    tenant = uuid.UUID(str(tenant_id or SYSTEM_TENANT))
    row = Job(
        id=job_id,
        type=job_type,
        queue=queue,
        partition=f"{queue}/{tenant}",
        tenant_id=tenant,
        user_id=user_id,
        payload=payload,
        run_at=timezone.now() + UNKNOWN_TYPE_REST,
        first_queued_at=Now(),
    )
    Job.objects.bulk_create([row], ignore_conflicts=True)

"""Deletes the answers of idempotent requests, whose keys are free again."""

from datetime import datetime

from jobs.idempotency import KEPT_FOR
from jobs.models import IdempotentRequest
from jobs.upkeep import log_events
from jobs.upkeep.batches import delete_in_batches


def delete_expired_requests(*, now: datetime) -> int:
    """Delete answers that are no longer given; return how many."""
    before = now - KEPT_FOR
    # By the primary key, which rises with time: there is no other index, and a day's rows are few.
    rows = delete_in_batches(IdempotentRequest.objects.filter(created_at__lt=before))
    log_events.deleted("idempotent requests", rows, before=before)
    return rows

"""Has tenants and people told that something happened, by whichever app does that."""

import uuid
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.utils import timezone

from jobs.operations import enqueue


def announce(
    event_type: str,
    *,
    tenant_id: uuid.UUID | None,
    user_id: uuid.UUID | None,
    data: Mapping[str, Any],
) -> None:
    """
    Enqueue the telling of an event, in the caller's transaction: rolled back, it never happened.

    It reaches the tenant's webhook endpoints that subscribe to the event's type, and the user by
    mail. `data` is JSON with ids, no secrets. No loops: jobs of the lanes `notifications` and
    `alerts` announce nothing. Where JOBS_ANNOUNCE_TASK is empty nobody is told.

    `record_event` counts for the tenant's metrics; this tells somebody.
    """
    if settings.JOBS_ANNOUNCE_TASK:
        payload = {
            "event_type": event_type,
            "occurred_at": timezone.now().isoformat(),
            "data": dict(data),
        }
        enqueue(settings.JOBS_ANNOUNCE_TASK, payload, tenant_id=tenant_id, user_id=user_id)

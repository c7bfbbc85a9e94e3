"""Has tenants and people told that something happened, by whichever app does that."""

import logging
import uuid
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.utils import timezone

from jobs.errors import EnqueueRefused
from jobs.event_names import check_name
from jobs.operations import enqueue

log = logging.getLogger("jobs")


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
    `alerts` announce nothing. Where JOBS_ANNOUNCE_TASK is empty nobody is told; what can't be
    enqueued is logged, for telling must not keep the work itself from being settled.

    :raises EventRefused: if `event_type` is no `<noun>.<past tense>`.

    `record_event` counts for the tenant's metrics; this tells somebody.
    """
    check_name(event_type)
    if not settings.JOBS_ANNOUNCE_TASK:
        return
    payload = {
        "event_type": event_type,
        "occurred_at": timezone.now().isoformat(),
        "data": dict(data),
    }
    try:
        enqueue(settings.JOBS_ANNOUNCE_TASK, payload, tenant_id=tenant_id, user_id=user_id)
    except EnqueueRefused as refusal:
        log.error("event.not_announced", extra={"event_type": event_type, "why": str(refusal)})

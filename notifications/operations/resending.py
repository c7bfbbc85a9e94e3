"""Sends again all deliveries of an endpoint that match, a few at a time."""

import contextlib
import uuid
from datetime import datetime

from django.db.models import QuerySet

from jobs import enqueue
from jobs.errors import JobError
from jobs.models import Job
from notifications.errors import EndpointDisabled, NotificationError, StillUnderWay
from notifications.events import check_event_type
from notifications.models import WebhookDelivery
from notifications.operations.deliveries import resend_delivery
from notifications.payloads import ResendPayload
from notifications.queries import get_endpoint
from notifications.states import SETTLED_DELIVERIES

TASK = "notifications.resend_deliveries"

BATCH_DELIVERIES = 200


def request_resend(
    *,
    tenant_id: uuid.UUID | None,
    user_id: uuid.UUID | None,
    endpoint_id: uuid.UUID,
    status: str = "failed",
    event_type: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> tuple[Job, int]:
    """
    Enqueue the sending again of what matches now; return that job and how many there are.

    :raises UnknownEndpoint: if there is none, or it belongs to another tenant.
    :raises EndpointDisabled: if nothing is sent to it.
    :raises StillUnderWay: if the status is one of those that are on their way.
    :raises UnknownEventType: if the type is not spelled as one: nothing could match.
    """
    endpoint = get_endpoint(tenant_id, endpoint_id)
    if not endpoint.enabled:
        raise EndpointDisabled(endpoint.pk, endpoint.disabled_reason)
    if status not in SETTLED_DELIVERIES:
        raise StillUnderWay("What matches", status)
    if event_type is not None:
        check_event_type(event_type)
    filters = ResendPayload(
        endpoint_id=endpoint.pk, status=status, event_type=event_type, since=since, until=until
    )
    count = matching(filters).count()
    job = enqueue(TASK, filters, tenant_id=endpoint.tenant_id, user_id=user_id)
    return job, count


def resend_matching(job: Job, filters: ResendPayload) -> int:
    """
    Send them again, oldest first; return how many.

    Each is a transaction of its own, by a compare-and-set on its status: an attempt too many finds
    those of the first one on their way. What settles later than this job's creation is left.
    """
    sent = 0
    rows = matching(filters).filter(settled_at__lt=job.created_at).order_by("pk")
    after = uuid.UUID(int=0)
    while batch := list(rows.filter(pk__gt=after).values_list("pk", flat=True)[:BATCH_DELIVERIES]):
        with job.fence():  # Cancelled, it stops here.
            pass
        for pk in batch:
            sent += _resend(pk, job.tenant_id)
        after = batch[-1]
    return sent


def matching(filters: ResendPayload) -> QuerySet[WebhookDelivery]:
    wanted = {
        "event_type": filters.event_type,
        "created_at__gte": filters.since,
        "created_at__lte": filters.until,
    }
    rows = WebhookDelivery.objects.filter(endpoint=filters.endpoint_id, status=filters.status)
    return rows.filter(**{name: value for name, value in wanted.items() if value})


def _resend(delivery_id: uuid.UUID, tenant_id: uuid.UUID) -> bool:
    """One that refuses (somebody was faster, its endpoint is disabled) keeps no other back."""
    with contextlib.suppress(NotificationError, JobError):
        resend_delivery(tenant_id=tenant_id, delivery_id=delivery_id, by="a resend by filter")
        return True
    return False

"""The only module that writes webhook deliveries; `attempts` writes what their attempts found."""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from jobs import enqueue
from jobs.errors import NotLive, NotReplayable
from jobs.models import Job
from jobs.operations import cancel_job, replay_job
from jobs.outcomes import outcome_of
from jobs.states import JobState
from notifications.errors import (
    DataTooLarge,
    EndpointDisabled,
    StillUnderWay,
    UnknownEndpoint,
)
from notifications.events import TEST_EVENT, check_event_type
from notifications.models import WebhookDelivery, WebhookEndpoint
from notifications.operations.breaker import SYNC
from notifications.payloads import DeliveryPayload, check_depth
from notifications.queries import get_delivery, get_endpoint
from notifications.states import SETTLED_DELIVERIES, DeliveryStatus

#: How the end of a job is told to the people who asked for its delivery.
STATUS_OF = {
    JobState.SUCCEEDED: DeliveryStatus.DELIVERED,
    JobState.FAILED: DeliveryStatus.FAILED,
    JobState.CANCELLED: DeliveryStatus.CANCELLED,
}

_QUEUED = {"status": DeliveryStatus.QUEUED, "error": "", "attempts": 0, "settled_at": None}


def request_delivery(
    *,
    tenant_id: uuid.UUID,
    user_id: uuid.UUID | None,
    endpoint_id: uuid.UUID,
    event_type: str,
    data: Mapping[str, Any],
) -> WebhookDelivery:
    """
    Store a delivery and its job in one transaction, or in the caller's.

    :raises UnknownEndpoint: if there is none, or it belongs to another tenant.
    :raises EndpointDisabled: if nothing is sent to it.
    :raises UnknownEventType: if it is not spelled as one.
    :raises DataTooDeep: if it has over DATA_DEPTH_MAX lists and objects in each other.
    :raises DataTooLarge: over JOBS_PAYLOAD_MAX_BYTES of JSON.
    """
    endpoint = get_endpoint(tenant_id, endpoint_id)
    if not endpoint.enabled:
        raise EndpointDisabled(endpoint.pk, endpoint.disabled_reason)
    body = body_of(check_event_type(event_type), data, at=timezone.now())
    return store(endpoint, event_type=event_type, body=body, user_id=user_id)


def request_test(
    *, tenant_id: uuid.UUID | None, user_id: uuid.UUID | None, endpoint_id: uuid.UUID
) -> WebhookDelivery:
    """
    Send an endpoint something, to see whether it works.

    :raises UnknownEndpoint: if there is none, or it belongs to another tenant.
    :raises EndpointDisabled: if nothing is sent to it.
    """
    endpoint = get_endpoint(tenant_id, endpoint_id)
    return request_delivery(
        tenant_id=endpoint.tenant_id,
        user_id=user_id,
        endpoint_id=endpoint.pk,
        event_type=TEST_EVENT,
        data={"endpoint_id": str(endpoint.pk), "message": "This is a test."},
    )


def store(
    endpoint: WebhookEndpoint, *, event_type: str, body: str, user_id: uuid.UUID | None
) -> WebhookDelivery:
    """
    Store a delivery and its job; the body is what will be signed and sent, to the byte.

    :raises UnknownEndpoint: if it was deleted meanwhile.
    """
    delivery = new_delivery(endpoint, event_type=event_type, body=body, user_id=user_id)
    with transaction.atomic():
        # Locked, so that it can't be deleted before this commits.
        kept = WebhookEndpoint.objects.select_for_update(of=("self",), no_key=True)
        if not kept.filter(pk=endpoint.pk).exists():
            raise UnknownEndpoint(endpoint.pk)
        _enqueue(delivery)
        delivery.save(force_insert=True)
    return delivery


def new_delivery(
    endpoint: WebhookEndpoint, *, event_type: str, body: str, user_id: uuid.UUID | None
) -> WebhookDelivery:
    return WebhookDelivery(
        tenant_id=endpoint.tenant_id,
        endpoint=endpoint,
        requested_by_id=user_id,
        event_type=event_type,
        body=body,
    )


def body_of(event_type: str, data: Mapping[str, Any], *, at: datetime) -> str:
    """
    Return the payload that Standard Webhooks recommends, as JSON.

    :raises DataTooDeep: if it has over DATA_DEPTH_MAX lists and objects in each other.
    :raises DataTooLarge: if the data alone is over JOBS_PAYLOAD_MAX_BYTES.
    """
    # ASCII alone: no half of a surrogate pair, no NUL, nothing that a receiver reads otherwise.
    text = json.dumps(check_depth(dict(data)), separators=(",", ":"), allow_nan=False)
    if len(text) > settings.JOBS_PAYLOAD_MAX_BYTES:
        raise DataTooLarge(len(text), settings.JOBS_PAYLOAD_MAX_BYTES)
    moment = at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f'{{"type":{json.dumps(event_type)},"timestamp":"{moment}","data":{text}}}'


def cancel_delivery(*, tenant_id: uuid.UUID | None, delivery_id: uuid.UUID, by: str) -> None:
    """
    Cancel a delivery that is on its way. An attempt that is under way may still arrive.

    :raises UnknownDelivery: if there is none, or it belongs to another tenant.
    :raises NotLive: if it has ended.
    """
    delivery = get_delivery(tenant_id, delivery_id)
    if delivery.job_id is None:
        raise NotLive(f"Delivery {delivery.pk} is {delivery.status}; it can't be cancelled.")
    cancel_job(job_id=delivery.job_id, by=by)


def resend_delivery(
    *, tenant_id: uuid.UUID | None, delivery_id: uuid.UUID, by: str
) -> WebhookDelivery:
    """
    Send a delivery once more that has ended, accepted or not, with the `webhook-id` that it has.

    :raises UnknownDelivery: if there is none, or it belongs to another tenant.
    :raises EndpointDisabled: if nothing is sent to its endpoint.
    :raises StillUnderWay: if it is on its way.
    """
    delivery = get_delivery(tenant_id, delivery_id)
    if not delivery.endpoint.enabled:
        raise EndpointDisabled(delivery.endpoint_id, delivery.endpoint.disabled_reason)
    if delivery.status not in SETTLED_DELIVERIES:
        raise StillUnderWay(f"Delivery {delivery.pk}", delivery.status)
    with transaction.atomic():
        if delivery.job and delivery.job.state in (JobState.FAILED, JobState.CANCELLED):
            replay_job(job_id=delivery.job.pk, by=by)
        else:
            _queue_again(delivery)
    return get_delivery(tenant_id, delivery_id)


# --- What the engine calls, inside the transaction that moves the job ---------------------------


def write_outcome(job: Job) -> None:
    """Tell the delivery how its job ended, whoever ended it."""
    WebhookDelivery.objects.filter(job=job).update(**outcome_of(job, STATUS_OF))


def point_to_new_job(old: Job, new: Job) -> None:
    """
    Queue the delivery again under the job that replays its old one.

    :raises NotReplayable: if it was deleted meanwhile: the new job could only fail.
    """
    stored = WebhookDelivery.objects.filter(job=old)
    if not stored.update(job=new, **_QUEUED) and old.payload.get("delivery_id"):
        raise NotReplayable(f"The delivery of job {old.pk} is gone, with its endpoint.")


def _enqueue(delivery: WebhookDelivery) -> None:
    payload = DeliveryPayload(endpoint_id=delivery.endpoint_id, delivery_id=delivery.pk)
    delivery.job = enqueue(
        SYNC, payload, tenant_id=delivery.tenant_id, user_id=delivery.requested_by_id
    )


def _queue_again(delivery: WebhookDelivery) -> None:
    """Losing the race means that another click has queued it: its new job is rolled back."""
    seen = WebhookDelivery.objects.filter(
        pk=delivery.pk, job=delivery.job_id, status=delivery.status
    )
    _enqueue(delivery)
    if not seen.update(job=delivery.job, **_QUEUED):
        raise StillUnderWay(f"Delivery {delivery.pk}", DeliveryStatus.QUEUED)

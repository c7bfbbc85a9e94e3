"""`/api/v1/syncs`: deliver something to an outside system, see every attempt."""

import uuid
from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from jobs.http import Member, RequestSchema, page_of, refuse_unknown_parameters, require
from jobs.idempotency import Answer, answer_once
from notifications import queries
from notifications.models import DeliveryAttempt, WebhookDelivery
from notifications.operations import deliveries
from notifications.states import DeliveryStatus

router = Router()

READ, WRITE = "webhooks:read", "webhooks:write"


class SyncIn(RequestSchema):
    endpoint_id: uuid.UUID
    event_type: Annotated[str, Field(max_length=100)]
    data: dict[str, Any]


class Filters(RequestSchema):
    endpoint_id: uuid.UUID | None = None
    status: DeliveryStatus | None = None
    event_type: Annotated[str, Field(max_length=100)] | None = None
    before: uuid.UUID | None = Field(None, description="The id of the last delivery seen.")
    limit: int = Field(50, ge=1, le=200)


class SyncAccepted(Schema):
    success: bool
    sync_id: uuid.UUID
    job_id: uuid.UUID
    status: DeliveryStatus


class AttemptOut(Schema):
    """One POST. Without a status and an error it was cut, by a cancel too."""

    number: int
    started_at: datetime
    status_code: int | None
    latency_ms: int | None
    error: str
    excerpt: str = Field(description="How the answer began.")


class DeliveryOut(Schema):
    id: uuid.UUID = Field(description="Also the `webhook-id`, the same on every attempt.")
    job_id: uuid.UUID | None
    endpoint_id: uuid.UUID
    event_type: str
    status: DeliveryStatus
    error: str | None
    attempts: int = Field(description="Executions that ended in an error or a success.")
    requested_by: uuid.UUID | None = Field(validation_alias="requested_by_id")
    created_at: datetime
    settled_at: datetime | None

    @staticmethod
    def resolve_error(delivery: WebhookDelivery) -> str | None:
        return delivery.error or None

    @staticmethod
    def resolve_attempts(delivery: WebhookDelivery) -> int:
        return queries.count_attempts(delivery)


class DeliveryDetail(DeliveryOut):
    body: str = Field(description="What is signed and sent, to the byte.")
    history: list[AttemptOut]

    @staticmethod
    def resolve_history(delivery: WebhookDelivery) -> list[DeliveryAttempt]:
        return list(delivery.history.order_by("number"))


class DeliveryPage(Schema):
    items: list[DeliveryOut]
    next_before: uuid.UUID | None = Field(description="Pass it as `before` for the next page.")


@router.post("", response={202: SyncAccepted}, summary="Deliver something to an endpoint")
def request_sync(request: HttpRequest, body: SyncIn) -> JsonResponse:
    """With an `Idempotency-Key`, the same request sent again gets the same answer."""
    actor = require(request, WRITE)
    return answer_once(request, actor, lambda: _request(actor, body))


@router.get("", response=DeliveryPage, summary="List deliveries, newest first")
def list_syncs(request: HttpRequest, filters: Query[Filters]) -> dict[str, Any]:
    actor = require(request, READ)
    refuse_unknown_parameters(request, Filters)
    found = queries.list_deliveries(actor.tenant_id, **filters.model_dump())
    return page_of(found, filters.limit)


@router.get("/{delivery_id}", response=DeliveryDetail, url_name="sync", summary="See a delivery")
def get_sync(request: HttpRequest, delivery_id: uuid.UUID) -> WebhookDelivery:
    return queries.get_delivery(require(request, READ).tenant_id, delivery_id)


@router.post("/{delivery_id}/cancel", response=DeliveryDetail, summary="Cancel a delivery")
def cancel_sync(request: HttpRequest, delivery_id: uuid.UUID) -> WebhookDelivery:
    """An attempt that is under way may still arrive."""
    actor = require(request, WRITE)
    deliveries.cancel_delivery(
        tenant_id=actor.tenant_id, delivery_id=delivery_id, by=str(actor.user)
    )
    return queries.get_delivery(actor.tenant_id, delivery_id)


@router.post("/{delivery_id}/resend", response={202: DeliveryDetail}, summary="Send it again")
def resend_sync(request: HttpRequest, delivery_id: uuid.UUID) -> Any:
    """One that has ended, accepted or not, with the `webhook-id` that it has."""
    actor = require(request, WRITE)
    delivery = deliveries.resend_delivery(
        tenant_id=actor.tenant_id, delivery_id=delivery_id, by=str(actor.user)
    )
    return Status(202, delivery)


def _request(actor: Member, body: SyncIn) -> Answer:
    delivery = deliveries.request_delivery(
        tenant_id=actor.tenant_id,
        user_id=actor.user_id,
        endpoint_id=body.endpoint_id,
        event_type=body.event_type,
        data=body.data,
    )
    answer = {
        "success": True,
        "sync_id": str(delivery.pk),
        "job_id": str(delivery.job_id),
        "status": delivery.status,
    }
    return Answer(202, answer, location=reverse("api:sync", args=[delivery.pk]))

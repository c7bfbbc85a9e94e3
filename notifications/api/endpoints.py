"""`/api/v1/webhook-endpoints`: where a tenant is told of what happened."""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from ninja import Router, Schema, Status
from pydantic import AfterValidator, AwareDatetime, Field, StrictBool

from jobs.http import Problem, RequestSchema, require
from jobs.idempotency import HEADER
from notifications import queries
from notifications.api.syncs import DeliveryOut
from notifications.events import check_subscription
from notifications.models import WebhookDelivery, WebhookEndpoint
from notifications.operations import deliveries, endpoints, resending
from notifications.states import DeliveryStatus

router = Router()

READ, WRITE = "webhooks:read", "webhooks:write"

Url = Annotated[str, Field(max_length=2000)]
EventTypes = Annotated[
    list[str],
    Field(min_length=1, max_length=50, description="Names of event types; `*` is all."),
    AfterValidator(check_subscription),
]
#: Years that any database and any time zone can hold.
Moment = Annotated[
    AwareDatetime, Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9999, 1, 1, tzinfo=UTC))
]
Description = Annotated[str, Field(max_length=200)]

#: Of a field that may be missing, but is not null: what it is then is never read, nor documented.
LEFT_OUT: Any = Field(default_factory=lambda: None)


class EndpointIn(RequestSchema):
    url: Url
    event_types: EventTypes
    description: Description = ""


class EndpointPatch(RequestSchema):
    """What is left out stays as it is; null is no value of any of them."""

    url: Url = LEFT_OUT
    event_types: EventTypes = LEFT_OUT
    description: Description = LEFT_OUT
    enabled: StrictBool = LEFT_OUT


class ResendIn(RequestSchema):
    status: DeliveryStatus = DeliveryStatus.FAILED
    event_type: Annotated[str, Field(max_length=100)] | None = None
    since: Moment | None = Field(None, description="Created then or later.")
    until: Moment | None = Field(None, description="Created then or earlier.")


class EndpointOut(Schema):
    id: uuid.UUID
    url: str
    description: str
    event_types: list[str]
    enabled: bool
    disabled_reason: str | None
    failures_in_a_row: int
    open_until: datetime | None = Field(description="Until when its breaker holds deliveries.")
    previous_secret_until: datetime | None = Field(
        description="Until when the old secret signs beside the new one."
    )
    created_at: datetime

    @staticmethod
    def resolve_disabled_reason(endpoint: WebhookEndpoint) -> str | None:
        return endpoint.disabled_reason or None

    @staticmethod
    def resolve_previous_secret_until(endpoint: WebhookEndpoint) -> datetime | None:
        until = endpoint.previous_secret_until
        return until if until and until > timezone.now() else None


class EndpointWithSecret(EndpointOut):
    secret: str = Field(validation_alias="shown_secret", description="Shown this once.")


class ResendAccepted(Schema):
    success: bool
    job_id: uuid.UUID
    matching: int


@router.get("", response=list[EndpointOut], summary="List webhook endpoints")
def list_endpoints(request: HttpRequest) -> list[WebhookEndpoint]:
    return queries.list_endpoints(require(request, READ).tenant_id)


@router.post("", response={201: EndpointWithSecret}, summary="Create a webhook endpoint")
def create_endpoint(request: HttpRequest, body: EndpointIn, response: HttpResponse) -> Any:
    """The answer has the secret that its deliveries are signed with. It is shown this once."""
    actor = require(request, WRITE)
    _refuse_key(request)
    endpoint, secret = endpoints.create_endpoint(
        tenant_id=actor.tenant_id,
        user_id=actor.user_id,
        url=body.url,
        event_types=body.event_types,
        description=body.description,
    )
    return Status(201, _with_secret(endpoint, secret, response))


@router.get("/{endpoint_id}", response=EndpointOut, summary="See a webhook endpoint")
def get_endpoint(request: HttpRequest, endpoint_id: uuid.UUID) -> WebhookEndpoint:
    return queries.get_endpoint(require(request, READ).tenant_id, endpoint_id)


@router.patch("/{endpoint_id}", response=EndpointOut, summary="Change a webhook endpoint")
def update_endpoint(
    request: HttpRequest, endpoint_id: uuid.UUID, body: EndpointPatch
) -> WebhookEndpoint:
    """What is left out stays as it is. `enabled` true enables one that a 410 has disabled."""
    actor = require(request, WRITE)
    return endpoints.update_endpoint(
        tenant_id=actor.tenant_id, endpoint_id=endpoint_id, **body.model_dump(exclude_unset=True)
    )


@router.delete("/{endpoint_id}", response={204: None}, summary="Delete a webhook endpoint")
def delete_endpoint(request: HttpRequest, endpoint_id: uuid.UUID) -> HttpResponse:
    """With its deliveries; what is on its way is cancelled."""
    actor = require(request, WRITE)
    endpoints.delete_endpoint(tenant_id=actor.tenant_id, endpoint_id=endpoint_id)
    return HttpResponse(status=204)


@router.post(
    "/{endpoint_id}/rotate-secret", response=EndpointWithSecret, summary="Give it a new secret"
)
def rotate_secret(
    request: HttpRequest, endpoint_id: uuid.UUID, response: HttpResponse
) -> WebhookEndpoint:
    """Both secrets sign for a day, so that the receiver can change at its leisure."""
    actor = require(request, WRITE)
    _refuse_key(request)
    endpoint, secret = endpoints.rotate_secret(tenant_id=actor.tenant_id, endpoint_id=endpoint_id)
    return _with_secret(endpoint, secret, response)


@router.post("/{endpoint_id}/test", response={202: DeliveryOut}, summary="Send it a test")
def test_endpoint(request: HttpRequest, endpoint_id: uuid.UUID) -> Any:
    actor = require(request, WRITE)
    delivery: WebhookDelivery = deliveries.request_test(
        tenant_id=actor.tenant_id, user_id=actor.user_id, endpoint_id=endpoint_id
    )
    return Status(202, queries.get_delivery(actor.tenant_id, delivery.pk))


@router.post(
    "/{endpoint_id}/resend", response={202: ResendAccepted}, summary="Send again what matches"
)
def resend_matching(request: HttpRequest, endpoint_id: uuid.UUID, body: ResendIn) -> Any:
    """A job sends them again, oldest first, each with the `webhook-id` that it has."""
    actor = require(request, WRITE)
    job, count = resending.request_resend(
        tenant_id=actor.tenant_id,
        user_id=actor.user_id,
        endpoint_id=endpoint_id,
        **body.model_dump(),
    )
    return Status(202, {"success": True, "job_id": job.pk, "matching": count})


def _with_secret(endpoint: WebhookEndpoint, secret: str, response: HttpResponse) -> WebhookEndpoint:
    """Show it beside the column, which shows asterisks; nothing on its way keeps the answer."""
    response["Cache-Control"] = "no-store"
    endpoint.__dict__["shown_secret"] = secret
    return endpoint


def _refuse_key(request: HttpRequest) -> None:
    """An answer that is stored to be given again would store the secret with it."""
    if HEADER in request.headers:
        detail = f"{HEADER} is not for this call: its answer has a secret, which is not kept."
        raise Problem(422, "Invalid request", detail, field=HEADER)

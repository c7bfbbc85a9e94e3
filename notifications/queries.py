"""What may be read of mails, endpoints and deliveries."""

import uuid
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import QuerySet

from notifications.errors import UnknownDelivery, UnknownEndpoint, UnknownNotification
from notifications.events import EVERY
from notifications.models import Notification, WebhookDelivery, WebhookEndpoint


def get_notification(tenant_id: uuid.UUID | None, notification_id: uuid.UUID) -> Notification:
    """
    Return one of the tenant's mails, with its job; anybody's where no tenant is named.

    :raises UnknownNotification: the same for an id that isn't there and for another tenant's.
    """
    mails = _of_tenant(Notification.objects.select_related("job"), tenant_id)
    found: Notification | None = mails.filter(pk=notification_id).first()
    if found is None:
        raise UnknownNotification(notification_id)
    return found


def list_notifications(
    tenant_id: uuid.UUID,
    *,
    status: str | None = None,
    email: str | None = None,
    before: uuid.UUID | None = None,
    limit: int = 50,
) -> list[Notification]:
    """
    Return the tenant's mails, newest first; `before` is the id of the last one seen.

    An address is found in full, in capital or small letters.
    """
    mails = Notification.objects.select_related("job").defer("html").filter(tenant_id=tenant_id)
    return list(_wanted(mails, status=status, email__iexact=email, pk__lt=before)[:limit])


def get_endpoint(tenant_id: uuid.UUID | None, endpoint_id: uuid.UUID) -> WebhookEndpoint:
    """
    Return one of the tenant's endpoints; anybody's where no tenant is named.

    :raises UnknownEndpoint: the same for an id that isn't there and for another tenant's.
    """
    endpoints = _of_tenant(WebhookEndpoint.objects.all(), tenant_id)
    found: WebhookEndpoint | None = endpoints.filter(pk=endpoint_id).first()
    if found is None:
        raise UnknownEndpoint(endpoint_id)
    return found


def list_endpoints(tenant_id: uuid.UUID) -> list[WebhookEndpoint]:
    """Return the tenant's endpoints, oldest first: NOTIFICATIONS_ENDPOINTS_MAX at most."""
    return list(WebhookEndpoint.objects.filter(tenant_id=tenant_id).order_by("pk"))


def list_subscribers(tenant_id: uuid.UUID, event_type: str) -> list[WebhookEndpoint]:
    """Return the tenant's enabled endpoints that are told of events of this type."""
    return [
        endpoint
        for endpoint in list_endpoints(tenant_id)
        if endpoint.enabled and {event_type, EVERY} & set(endpoint.event_types)
    ]


def get_delivery(tenant_id: uuid.UUID | None, delivery_id: uuid.UUID) -> WebhookDelivery:
    """
    Return one of the tenant's deliveries, with its job; anybody's where no tenant is named.

    :raises UnknownDelivery: the same for an id that isn't there and for another tenant's.
    """
    deliveries = _of_tenant(WebhookDelivery.objects.select_related("job"), tenant_id)
    found: WebhookDelivery | None = deliveries.filter(pk=delivery_id).first()
    if found is None:
        raise UnknownDelivery(delivery_id)
    return found


def list_deliveries(
    tenant_id: uuid.UUID,
    *,
    endpoint_id: uuid.UUID | None = None,
    status: str | None = None,
    event_type: str | None = None,
    before: uuid.UUID | None = None,
    limit: int = 50,
) -> list[WebhookDelivery]:
    """Return the tenant's deliveries, newest first; `before` is the id of the last one seen."""
    of_tenant = WebhookDelivery.objects.filter(tenant_id=tenant_id)
    deliveries = of_tenant.select_related("job").defer("body")
    wanted = _wanted(
        deliveries, endpoint=endpoint_id, status=status, event_type=event_type, pk__lt=before
    )
    return list(wanted[:limit])


def count_attempts(row: Notification | WebhookDelivery) -> int:
    """Return the executions that ended in an error or a success; also while more may follow."""
    return row.attempts if row.job is None else row.job.attempts


def known_user_id(user_id: uuid.UUID | None) -> uuid.UUID | None:
    """Return the id while there is such a person: a job may outlive the one who asked for it."""
    people = get_user_model()._default_manager
    return user_id if user_id and people.filter(pk=user_id).exists() else None


def _of_tenant(rows: QuerySet[Any], tenant_id: uuid.UUID | None) -> QuerySet[Any]:
    return rows if tenant_id is None else rows.filter(tenant_id=tenant_id)


def _wanted(rows: QuerySet[Any], **filters: Any) -> QuerySet[Any]:
    given = {name: value for name, value in filters.items() if value}
    return rows.filter(**given).order_by("-pk")

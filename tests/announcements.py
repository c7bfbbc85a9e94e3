"""Exports whose end is announced, and who was told of it, for tests in one process."""

from typing import Any

from exports.operations import request_export
from notifications.models import Notification, WebhookDelivery, WebhookEndpoint
from project.accounts.models import Tenant, User

ANNOUNCE = "notifications.announce_event"


def export(acme: Tenant, ann: User | None = None, **changes: Any) -> Any:
    """Request an export for acme, by Ann or by nobody, and return it."""
    wanted = {"dataset": "items", "format": "csv", **changes}
    return request_export(tenant_id=acme.pk, user_id=ann.pk if ann else None, **wanted)


def told(endpoint: WebhookEndpoint) -> list[str]:
    """Return the types of the events that an endpoint is told of."""
    return sorted(
        WebhookDelivery.objects.filter(endpoint=endpoint.pk).values_list("event_type", flat=True)
    )


def mailed() -> list[tuple[str, str]]:
    """Return whom a mail was meant for, and its subject."""
    return sorted(Notification.objects.values_list("email", "subject"))

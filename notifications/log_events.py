"""Owns every log line of this app. None has a URL, a secret or a text: hosts may be in errors."""

import uuid
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from notifications.models import Notification, WebhookDelivery, WebhookEndpoint

log: Any = structlog.get_logger("notifications")


def mail_sent(mail: "Notification") -> None:
    log.info("notification.sent", notification_id=str(mail.pk), tenant_id=str(mail.tenant_id))


def mail_refused(event_type: str, user_id: uuid.UUID, why: str) -> None:
    log.warning("notification.refused", event_type=event_type, user_id=str(user_id), why=why)


def delivered(delivery: "WebhookDelivery", status: int, latency_ms: int) -> None:
    log.info("delivery.accepted", status=status, latency_ms=latency_ms, **_about(delivery))


def delivery_refused(delivery: "WebhookDelivery", error: str) -> None:
    log.warning("delivery.refused", error=error, **_about(delivery))


def secret_unreadable(delivery: "WebhookDelivery", why: str) -> None:
    log.error("delivery.unsigned", why=why, **_about(delivery))


def endpoint_created(endpoint: "WebhookEndpoint") -> None:
    log.info("endpoint.created", endpoint_id=str(endpoint.pk), tenant_id=str(endpoint.tenant_id))


def endpoint_deleted(endpoint: "WebhookEndpoint") -> None:
    log.info("endpoint.deleted", tenant_id=str(endpoint.tenant_id))


def endpoint_disabled(endpoint_id: uuid.UUID, reason: str) -> None:
    log.warning("endpoint.disabled", endpoint_id=str(endpoint_id), reason=reason)


def endpoint_enabled(endpoint_id: uuid.UUID) -> None:
    log.info("endpoint.enabled", endpoint_id=str(endpoint_id))


def secret_rotated(endpoint: "WebhookEndpoint") -> None:
    log.info("endpoint.secret_rotated", endpoint_id=str(endpoint.pk))


def breaker_opened(endpoint: "WebhookEndpoint", seconds: int) -> None:
    log.warning(
        "breaker.opened",
        endpoint_id=str(endpoint.pk),
        tenant_id=str(endpoint.tenant_id),
        failures_in_a_row=endpoint.failures_in_a_row,
        open_seconds=seconds,
    )


def announced(event_type: str, tenant_id: uuid.UUID, *, deliveries: int, mails: int) -> None:
    log.info(
        "event.announced",
        event_type=event_type,
        tenant_id=str(tenant_id),
        deliveries=deliveries,
        mails=mails,
    )


def _about(delivery: "WebhookDelivery") -> dict[str, Any]:
    return {
        "delivery_id": str(delivery.pk),
        "endpoint_id": str(delivery.endpoint_id),
        "tenant_id": str(delivery.tenant_id),
        "event_type": delivery.event_type,
        "attempt": delivery.attempts_started,
    }

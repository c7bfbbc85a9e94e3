"""The only module that writes webhook endpoints, apart from their breakers."""

import uuid
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from jobs.holds import release_partition
from jobs.models import Job
from notifications import log_events
from notifications.channels.webhook.signing import new_secret
from notifications.channels.webhook.urls import check_url
from notifications.errors import DescriptionRefused, TooManyEndpoints
from notifications.events import check_subscription
from notifications.models import WebhookDelivery, WebhookEndpoint
from notifications.operations.breaker import CLOSED, partition_of
from notifications.queries import get_endpoint
from notifications.texts import fault_of_line

REASON_MAX_CHARACTERS = 200


def create_endpoint(
    *,
    tenant_id: uuid.UUID,
    user_id: uuid.UUID | None,
    url: str,
    event_types: list[str],
    description: str = "",
) -> tuple[WebhookEndpoint, str]:
    """
    Store an endpoint and return it with its secret, which is shown this once.

    :raises UrlRefused: if nothing is sent to such a URL, with the reason.
    :raises UnknownEventType: if a subscription can't be one.
    :raises DescriptionRefused: if it is not one readable line.
    :raises TooManyEndpoints: if the tenant has NOTIFICATIONS_ENDPOINTS_MAX.
    """
    secret = new_secret()
    endpoint = WebhookEndpoint(
        tenant_id=tenant_id,
        created_by_id=user_id,
        url=check_url(url),
        description=_checked(description),
        event_types=check_subscription(event_types),
        secret=secret,
    )
    with transaction.atomic():
        _lock_tenant(tenant_id)  # Else many requests at once would pass the count together.
        if WebhookEndpoint.objects.filter(tenant_id=tenant_id).count() >= _most():
            raise TooManyEndpoints(_most())
        endpoint.save(force_insert=True)
    log_events.endpoint_created(endpoint)
    return get_endpoint(tenant_id, endpoint.pk), secret


def update_endpoint(
    *,
    tenant_id: uuid.UUID | None,
    endpoint_id: uuid.UUID,
    url: str | None = None,
    event_types: list[str] | None = None,
    description: str | None = None,
    enabled: bool | None = None,
) -> WebhookEndpoint:
    """
    Change what is given; another URL closes the breaker, for it is another receiver.

    :raises UnknownEndpoint: if there is none, or it belongs to another tenant.
    :raises UrlRefused: if nothing is sent to such a URL, with the reason.
    :raises UnknownEventType: if a subscription can't be one.
    :raises DescriptionRefused: if it is not one readable line.
    """
    endpoint = get_endpoint(tenant_id, endpoint_id)
    changes: dict[str, object] = {}
    if url is not None and check_url(url) != endpoint.url:
        changes |= {"url": check_url(url), **CLOSED}
    if event_types is not None:
        changes["event_types"] = check_subscription(event_types)
    if description is not None:
        changes["description"] = _checked(description)
    with transaction.atomic():
        if changes:
            WebhookEndpoint.objects.filter(pk=endpoint.pk).update(**changes)
        if "open_until" in changes:
            release_partition(partition_of(endpoint.pk))
        if enabled is not None and enabled != endpoint.enabled:
            _enable(endpoint.pk) if enabled else disable_endpoint(endpoint.pk, "by hand")
    return get_endpoint(tenant_id, endpoint_id)


def delete_endpoint(*, tenant_id: uuid.UUID | None, endpoint_id: uuid.UUID) -> None:
    """
    Delete an endpoint with its deliveries; those on their way end as cancelled jobs.

    :raises UnknownEndpoint: if there is none, or it belongs to another tenant.
    """
    endpoint = get_endpoint(tenant_id, endpoint_id)
    # First, so that nothing more is stored for it; a delivery that is being stored holds its row.
    disable_endpoint(endpoint.pk, "it is being deleted")
    with transaction.atomic():
        _lock_jobs(endpoint.pk)
        # Whoever would store a delivery now waits, and then finds that there is no endpoint.
        WebhookEndpoint.objects.select_for_update(of=("self",)).filter(pk=endpoint.pk).first()
        endpoint.delete()
        release_partition(partition_of(endpoint_id))
    log_events.endpoint_deleted(endpoint)


def rotate_secret(
    *, tenant_id: uuid.UUID | None, endpoint_id: uuid.UUID
) -> tuple[WebhookEndpoint, str]:
    """
    Give an endpoint a new secret and return it, this once. The old one signs beside it for
    NOTIFICATIONS_SECRET_OVERLAP_HOURS; the one before that no longer.

    :raises UnknownEndpoint: if there is none, or it belongs to another tenant.
    """
    secret = new_secret()
    with transaction.atomic():
        # Two rotations at once wait for each other: else one answer would name a secret that
        # never signs.
        rows = WebhookEndpoint.objects.select_for_update(of=("self",))
        endpoint = rows.get(pk=get_endpoint(tenant_id, endpoint_id).pk)
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
            secret=secret,
            previous_secret=endpoint.secret,
            previous_secret_until=Now() + timedelta(hours=_overlap_hours()),
        )
    log_events.secret_rotated(endpoint)
    return get_endpoint(tenant_id, endpoint_id), secret


def disable_endpoint(endpoint_id: uuid.UUID, reason: str) -> bool:
    """
    Send nothing more to it; what waits is cancelled when its turn comes. Return whether it was on.

    Harmless twice: of two at once, one is told that it was.
    """
    enabled = WebhookEndpoint.objects.filter(pk=endpoint_id, enabled=True)
    disabled = enabled.update(
        enabled=False, disabled_reason=reason[:REASON_MAX_CHARACTERS], **CLOSED
    )
    if disabled:
        # What is held would wait for nothing.
        release_partition(partition_of(endpoint_id))
        log_events.endpoint_disabled(endpoint_id, reason)
    return bool(disabled)


def _enable(endpoint_id: uuid.UUID) -> None:
    disabled = WebhookEndpoint.objects.filter(pk=endpoint_id, enabled=False)
    if disabled.update(enabled=True, disabled_reason="", **CLOSED):
        # An attempt that was under way may have failed, and opened it, since it was disabled.
        release_partition(partition_of(endpoint_id))
        log_events.endpoint_enabled(endpoint_id)


def _checked(description: str) -> str:
    """Operators read it too."""
    if fault := fault_of_line(description):
        raise DescriptionRefused(fault)
    return description


def _lock_tenant(tenant_id: uuid.UUID) -> None:
    tenants = WebhookEndpoint.tenant.field.related_model._default_manager
    tenants.select_for_update(no_key=True).filter(pk=tenant_id).first()


def _lock_jobs(endpoint_id: uuid.UUID) -> None:
    """
    Lock the jobs of what is on its way: an attempt writes nothing without holding its own, but for
    the row that it has stored of itself.

    Else one that begins or ends meanwhile would add to what is being deleted, or deadlock.
    """
    under_way = WebhookDelivery.objects.filter(endpoint=endpoint_id, settled_at=None)
    jobs = Job.objects.filter(pk__in=under_way.values("job"))
    list(jobs.select_for_update(of=("self",), no_key=True).order_by("pk").values_list("pk"))


def _most() -> int:
    return int(settings.NOTIFICATIONS_ENDPOINTS_MAX)


def _overlap_hours() -> int:
    return int(settings.NOTIFICATIONS_SECRET_OVERLAP_HOURS)

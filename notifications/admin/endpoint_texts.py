"""What the admin says of an endpoint: its state, its breaker, what deleting it takes along."""

import re
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from jobs.admin import base
from jobs.admin.countdown import in_utc
from notifications.events import EVERY
from notifications.models import WebhookEndpoint


def badge(endpoint: WebhookEndpoint) -> str:
    return base.badge(*state(endpoint))


def state(endpoint: WebhookEndpoint) -> tuple[str, str]:
    """Return the words, and the colour of their badge."""
    if not endpoint.enabled:
        return "disabled", "danger"
    if endpoint.open_until is None:
        return "enabled", "success"
    if endpoint.open_until <= timezone.now():
        return "half open", "warning"
    return f"breaker open until {endpoint.open_until:%H:%M:%S} UTC", "warning"


def events(endpoint: WebhookEndpoint) -> str:
    return "every event" if EVERY in endpoint.event_types else ", ".join(endpoint.event_types)


def breaker(endpoint: WebhookEndpoint) -> str:
    if not endpoint.enabled:
        return "Closed: nothing is sent while the endpoint is disabled."
    failures = endpoint.failures_in_a_row
    if endpoint.open_until is None:
        most = settings.NOTIFICATIONS_BREAKER_FAILURES
        counted = f" Failures in a row: {failures} of the {most} that open it." if failures else ""
        return f"Closed: deliveries are sent as they come.{counted}"
    until = in_utc(endpoint.open_until)
    if endpoint.open_until <= timezone.now():
        return (
            f"Half open since {until}: the next delivery tries whether the endpoint works. Its "
            "success closes the breaker, its failure opens it for twice as long."
        )
    return (
        f"Open until {until} after {failures} failures in a row: deliveries wait. Then one of "
        "them tries whether the endpoint works."
    )


def old_secret(endpoint: WebhookEndpoint) -> str:
    until = endpoint.previous_secret_until
    if until is None or until <= timezone.now():
        return "-"
    return f"Signs beside the new one until {in_utc(until)}."


def host(endpoint: WebhookEndpoint) -> str:
    """The rest of a URL may hold secrets: a list is no place for them."""
    return urlsplit(endpoint.url).netloc


def matching(text: str) -> Q:
    """Return the condition of endpoints whose description or host has this text in it."""
    in_host = rf"^https?://[^/?#]*{re.escape(text)}"
    return Q(description__icontains=text) | Q(url__iregex=in_host)


def link_to_deliveries(endpoint: WebhookEndpoint) -> str:
    page = reverse("admin:notifications_webhookdelivery_changelist")
    query = urlencode({"endpoint": endpoint.pk})
    return format_html('<a class="underline" href="{}?{}">See them</a>', page, query)


def idle_actions(endpoint: WebhookEndpoint) -> set[str]:
    """Return the actions that could only answer that it is so already."""
    idle = {"enable" if endpoint.enabled else "disable"}
    if not endpoint.failures_in_a_row and endpoint.open_until is None:
        idle.add("close_breaker")
    return idle

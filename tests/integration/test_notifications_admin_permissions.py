"""Who may do what to mails, endpoints and deliveries: each action by each kind of person."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from jobs.models import Job
from notifications.models import Notification, WebhookDelivery, WebhookEndpoint
from notifications.operations.deliveries import request_delivery
from notifications.operations.mails import request_mail
from notifications.states import DeliveryStatus, NotificationStatus
from project.accounts.models import Tenant
from tests.people import OPERATOR, WHO, browser_of, make_tenant, make_user

pytestmark = pytest.mark.django_db

SECRET = "whsec_Y2FuYXJ5IHRoYXQgbXVzdCBub3Qgc2luZw=="
ENDPOINT, DELIVERY, MAIL = "webhookendpoint", "webhookdelivery", "notification"
MODELS = {ENDPOINT: WebhookEndpoint, DELIVERY: WebhookDelivery, MAIL: Notification}
FORM: dict[str, Any] = {
    "url": "https://hooks.example/",
    "known_types": ["*"],
    "description": "Another",
}

#: Page: the model it belongs to, the permission it needs beside view, and what it posts.
PAGES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "add": (ENDPOINT, "add_webhookendpoint", FORM),
    "change": (ENDPOINT, "change_webhookendpoint", FORM),
    "delete": (ENDPOINT, "delete_webhookendpoint", {"post": "yes"}),
    "delete_selected": (ENDPOINT, "delete_webhookendpoint", {"post": "yes"}),
    "test": (ENDPOINT, "test_webhookendpoint", {}),
    "new_secret": (ENDPOINT, "rotate_webhookendpoint", {"seen": "None"}),
    "disable": (ENDPOINT, "enable_webhookendpoint", {}),
    "close_breaker": (ENDPOINT, "enable_webhookendpoint", {}),
    "delivery resend": (DELIVERY, "resend_webhookdelivery", {}),
    "delivery cancel": (DELIVERY, "cancel_webhookdelivery", {}),
    "delivery resend_selected": (DELIVERY, "resend_webhookdelivery", {"asked": "1"}),
    "delivery cancel_selected": (DELIVERY, "cancel_webhookdelivery", {"asked": "1"}),
    "resend_matching": (
        DELIVERY, "resend_matching_webhookdelivery", {"asked": "1", "status": "failed"},
    ),
    "mail resend": (MAIL, "resend_notification", {}),
    "mail cancel": (MAIL, "cancel_notification", {}),
    "mail resend_selected": (MAIL, "resend_notification", {"asked": "1"}),
    "mail cancel_selected": (MAIL, "cancel_notification", {"asked": "1"}),
}  # fmt: skip
OTHERS = {permission for _, permission, _ in PAGES.values()}
SEEN = ("view_webhookendpoint", "view_webhookdelivery", "view_notification")


@pytest.fixture
def rows() -> dict[str, Any]:
    """An endpoint whose breaker is open, a delivery and a mail."""
    tenant = make_tenant()
    endpoint = WebhookEndpoint.objects.create(
        tenant=tenant, url="https://x.example/", description="Lamps", event_types=["*"],
        secret=SECRET, failures_in_a_row=3,
    )  # fmt: skip
    delivery = request_delivery(
        tenant_id=tenant.pk, user_id=None, endpoint_id=endpoint.pk, event_type="a.b", data={}
    )
    mail = request_mail(
        tenant_id=tenant.pk, user_id=None, email="a@x.example", subject="Hello", html="Hello"
    )
    return {ENDPOINT: endpoint, DELIVERY: delivery, MAIL: mail}


def let_it_be_sent_again() -> None:
    WebhookDelivery.objects.update(status=DeliveryStatus.FAILED)
    Notification.objects.update(status=NotificationStatus.FAILED)


def person(who: str, permission: str) -> Client:
    return browser_of(who, permission, others=OTHERS, seen=SEEN)


def request(client: Client, page: str, method: str, rows: dict[str, Any]) -> Any:
    model, _, given = PAGES[page]
    action, row = page.split(" ")[-1], rows[model]
    if "resend" in action:
        let_it_be_sent_again()
    address = f"admin:notifications_{model}"
    if action.endswith("_selected"):
        chosen = {"action": action, "_selected_action": [str(row.pk)]}
        return getattr(client, method)(reverse(f"{address}_changelist"), {**given, **chosen})
    if action == "resend_matching":
        page = f"{reverse(f'{address}_{action}')}?endpoint={rows[ENDPOINT].pk}"
        return client.post(page, given) if method == "post" else client.get(page)
    if action == "add":
        given = {**given, "tenant": Tenant.objects.get().pk}
        return getattr(client, method)(reverse(f"{address}_add"), given)
    return getattr(client, method)(reverse(f"{address}_{action}", args=[row.pk]), given)


def world() -> tuple[Any, ...]:
    """Return all that an action may change, but for what the test itself lets be sent again."""
    endpoints = WebhookEndpoint.objects.order_by("pk").values_list(
        "url", "description", "event_types", "enabled", "failures_in_a_row", "previous_secret"
    )
    return (
        [str(each) for each in endpoints],
        sorted(Job.objects.values_list("state", flat=True)),
        Job.objects.count(),
    )


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("who", WHO)
class TestAnAction:
    def test_is_done_for_those_who_may(self, page, who, rows):
        client, before = person(who, PAGES[page][1]), world()

        answer = request(client, page, "post", rows)

        may = who in ("staff with", "superuser")
        assert (world() != before) == may
        if not may and not page.endswith("_selected"):
            assert answer.status_code in (302, 403)
            assert answer.status_code == 403 or "/login/" in answer.url

    def test_is_never_done_by_get(self, page, who, rows):
        client, before = person(who, PAGES[page][1]), world()

        answer = request(client, page, "get", rows)

        assert world() == before
        assert SECRET not in answer.content.decode()
        if who in ("anonymous", "user"):
            assert answer.status_code == 302
        reads = page == "change" or page.endswith("_selected")  # Which those who see may open.
        if who == "staff without" and not reads:
            assert answer.status_code == 403


class TestForgery:
    @pytest.mark.parametrize("page", PAGES)
    def test_is_refused(self, page, rows):
        client = Client(enforce_csrf_checks=True)
        client.force_login(make_user(OPERATOR, is_staff=True, is_superuser=True))
        before = world()
        assert request(client, page, "post", rows).status_code == 403
        assert world() == before


class TestPreferences:
    def test_are_nobodys_to_write_here(self, admin):
        assert admin.get(reverse("admin:notifications_mailpreference_add")).status_code == 403


class TestEndpointsOfOthers:
    def test_are_sent_again_only_by_those_who_see_deliveries(self, rows):
        client = browser_of(
            "staff with",
            "resend_matching_webhookdelivery",
            others=(),
            seen=("view_webhookendpoint",),
        )
        assert request(client, "resend_matching", "post", rows).status_code == 403

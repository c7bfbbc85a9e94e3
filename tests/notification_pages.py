"""The admin's pages of mails, endpoints and deliveries as tests read them, and rows for them."""

import uuid
from datetime import timedelta
from typing import Any

from django.urls import reverse
from django.utils import timezone

from notifications.models import DeliveryAttempt, MailPreference, WebhookDelivery, WebhookEndpoint
from notifications.operations.deliveries import store
from notifications.operations.mails import request_mail
from notifications.states import DeliveryStatus
from project.accounts.models import Tenant
from tests.people import make_user

#: A secret that no page may show.
CANARY = "whsec_Y2FuYXJ5IHRoYXQgbXVzdCBub3Qgc2luZw=="
HOSTILE = "<script>alert(1)</script>"


def list_of(model: str) -> str:
    return reverse(f"admin:notifications_{model}_changelist")


def page_of(row: Any, action: str = "change") -> str:
    return reverse(f"admin:notifications_{row._meta.model_name}_{action}", args=[row.pk])


def text_of(answer: Any) -> str:
    assert answer.status_code == 200, answer.status_code
    return str(answer.content.decode())


def said(answer: Any) -> list[str]:
    """Return the messages above a page."""
    return [str(message) for message in answer.context["messages"]]


def make_lamp_shop(tenant: Tenant, **columns: Any) -> WebhookEndpoint:
    """Store an endpoint whose secrets are canaries."""
    wanted = {
        "url": "https://hooks.example/lamps",
        "description": "The lamp shop",
        "event_types": ["export.failed", "lamp.lit"],
        "secret": CANARY,
        "previous_secret": CANARY,
        **columns,
    }
    return WebhookEndpoint.objects.create(tenant=tenant, **wanted)


def leave_rows(tenant: Tenant, count: int, text: str = "A lamp") -> None:
    """Leave so many endpoints, deliveries with attempts, mails and preferences."""
    for number in range(count):
        endpoint = make_lamp_shop(
            tenant,
            url="https://hooks.example/secret-path",
            description=f"{text} {number}",
            event_types=["*"],
            previous_secret_until=timezone.now() + timedelta(hours=1),
        )
        delivery = store(endpoint, event_type="lamp.lit", body='{"a": 1}', user_id=None)
        WebhookDelivery.objects.filter(pk=delivery.pk).update(
            status=DeliveryStatus.DELIVERED, settled_at=timezone.now()
        )
        for attempt in (1, 2):
            DeliveryAttempt.objects.create(
                delivery=delivery, number=attempt, job_id=uuid.uuid4(), status_code=200
            )
        request_mail(
            tenant_id=tenant.pk,
            user_id=None,
            email=f"p{number}@acme.example",
            subject=f"{text} {number}",
            html=f"<p>{CANARY}</p>",
        )
        person = make_user(f"{uuid.uuid4().hex[:12]}@acme.example")
        MailPreference.objects.create(user=person, event_type="export.failed", wanted=False)

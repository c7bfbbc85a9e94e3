"""The ways an alert reaches people: a monitoring webhook and e-mail."""

import json
from collections.abc import Callable

import httpx2
from django.conf import settings
from django.core.mail import EmailMessage

from jobs.models import Alert, AlertDelivery
from jobs.states import Channel


def configured() -> list[Channel]:
    """Return the channels that the settings name."""
    named = {Channel.WEBHOOK: settings.ALERT_WEBHOOK_URL, Channel.EMAIL: settings.ALERT_EMAIL}
    return [channel for channel, address in named.items() if address]


def send(delivery: AlertDelivery) -> None:
    """
    Send an alert through its channel; it may block for ALERTS_TIMEOUT_SECONDS.

    :raises Exception: whatever the channel's library raises: another attempt may succeed.
    """
    _SENDERS[Channel(delivery.channel)](delivery.alert)


def _post(alert: Alert) -> None:
    """
    POST the alert as JSON. Only 2xx is a success, and no redirect is followed.

    `Idempotency-Key` is the alert's id on every attempt: an attempt that is cut may come again.
    """
    with httpx2.Client(timeout=settings.ALERTS_TIMEOUT_SECONDS, trust_env=False) as client:
        answer = client.post(
            settings.ALERT_WEBHOOK_URL,
            json={"severity": alert.severity, "message": alert.message, "data": alert.data},
            headers={"Idempotency-Key": str(alert.pk)},
        )
    if not answer.is_success:
        raise ConnectionError(f"The alert webhook answered {answer.status_code}.")


def _mail(alert: Alert) -> None:
    """Mail the alert as text; its Message-ID is the same on every attempt."""
    subject = " ".join(alert.message.split())
    body = f"{alert.message}\n\n{json.dumps(alert.data, indent=2, ensure_ascii=False)}\n"
    EmailMessage(
        subject=f"[Offload] {subject}",
        body=body,
        to=settings.ALERT_EMAIL,
        headers={"Message-ID": f"<alert-{alert.pk}@offload>"},
    ).send()


_SENDERS: dict[Channel, Callable[[Alert], None]] = {Channel.WEBHOOK: _post, Channel.EMAIL: _mail}

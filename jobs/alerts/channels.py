"""The ways an alert reaches people: a monitoring webhook and e-mail."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

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
    Send an alert through its channel; the webhook may block for ALERTS_TIMEOUT_SECONDS in all, a
    mail server for EMAIL_DEADLINE_SECONDS.

    :raises Exception: whatever the channel's library raises: another attempt may succeed.
    """
    _SENDERS[Channel(delivery.channel)](delivery.alert)


def _post(alert: Alert) -> None:
    """
    POST the alert as JSON. Only 2xx is a success, and no redirect is followed.

    `Idempotency-Key` is the alert's id on every attempt: an attempt that is cut may come again.
    """
    body = {"severity": alert.severity, "message": alert.message, "data": alert.data}
    status = asyncio.run(_status_of(body, {"Idempotency-Key": str(alert.pk)}))
    if not httpx2.codes.is_success(status):
        raise ConnectionError(f"The alert webhook answered {status}.")


async def _status_of(body: dict[str, Any], headers: dict[str, str]) -> int:
    """
    Asynchronous for its one limit: httpx2's own is for each read, and a receiver may drip.

    :raises TimeoutError: after ALERTS_TIMEOUT_SECONDS in all.
    """
    try:
        async with (
            asyncio.timeout(settings.ALERTS_TIMEOUT_SECONDS),
            httpx2.AsyncClient(timeout=None, trust_env=False) as client,
        ):
            answer = await client.post(settings.ALERT_WEBHOOK_URL, json=body, headers=headers)
            return int(answer.status_code)
    except TimeoutError:
        raise TimeoutError(
            f"The alert webhook took over {settings.ALERTS_TIMEOUT_SECONDS} s to answer."
        ) from None


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

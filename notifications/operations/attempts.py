"""Writes what each attempt to deliver has found, inside the fence of its job."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F
from django.utils import timezone

from jobs.database_clock import database_now
from jobs.errors import GiveUp, MoveRefused
from jobs.models import Job
from notifications.channels.webhook.sending import Answer
from notifications.channels.webhook.signing import signed_headers
from notifications.errors import NotificationError, SecretUnreadable
from notifications.events import check_event_type
from notifications.models import DeliveryAttempt, WebhookDelivery, WebhookEndpoint
from notifications.operations import breaker
from notifications.operations.deliveries import body_of, new_delivery
from notifications.operations.shares import leave_room_beside_tenant
from notifications.payloads import DeliveryPayload
from notifications.queries import get_endpoint, known_user_id
from notifications.states import DeliveryStatus


@dataclass(frozen=True)
class Attempt:
    """One POST that is about to be made."""

    row: DeliveryAttempt
    delivery: WebhookDelivery
    endpoint: WebhookEndpoint
    probe: datetime | None  #: Of the breaker: it is this one that tries whether it works.

    @property
    def url(self) -> str:
        return self.endpoint.url

    @property
    def body(self) -> bytes:
        return self.delivery.body.encode()

    def headers(self) -> Mapping[str, str]:
        """Sign now: the timestamp is of this attempt, the id of all."""
        return signed_headers(
            _secrets(self.endpoint),
            message_id=str(self.delivery.pk),
            timestamp=int(time.time()),
            body=self.body,
        )


def begin(job: Job, payload: DeliveryPayload) -> Attempt | None:
    """
    Store that an attempt begins; None if nothing is to be sent: its endpoint is disabled or gone.

    :raises NotNow: while the endpoint's breaker is open, or its tenant's share is in use.
    :raises GiveUp: if the message itself holds what can't be delivered.
    """
    delivery = WebhookDelivery.objects.select_related("endpoint").filter(job=job).first()
    if delivery is None and payload.delivery_id:
        return None  # Deleted, with its endpoint or for its age.
    delivery = delivery or _store_of_message(job, payload)
    endpoint = delivery.endpoint
    if not endpoint.enabled:
        return None
    leave_room_beside_tenant(job)
    probe = breaker.take_turn(endpoint)
    rows = WebhookDelivery.objects.filter(pk=delivery.pk)
    rows.update(status=DeliveryStatus.PROCESSING, attempts_started=F("attempts_started") + 1)
    delivery.refresh_from_db(fields=["status", "attempts_started"])
    row = DeliveryAttempt.objects.create(
        delivery=delivery, number=delivery.attempts_started, job_id=job.pk
    )
    return Attempt(row, delivery, endpoint, probe)


def end_well(attempt: Attempt, answer: Answer) -> None:
    """Store an answer that accepts the delivery, which closes the breaker."""
    _write(attempt, answer, error="")
    breaker.count_success(attempt.endpoint.pk)


def end_unsent(attempt: Attempt, error: Exception) -> None:
    """Store why nothing was sent. It says nothing of the receiver, and counts nowhere."""
    _write(attempt, None, error=str(error))


@contextlib.contextmanager
def noted(attempt: Attempt, answer: Answer | None, error: Exception | str = "") -> Iterator[None]:
    """
    Store what the attempt has found also where the fence refuses everything else.

    Its job was cancelled, or given to another attempt, while the other side answered. The row is of
    this attempt alone, whatever others do: so it may be written without the fence.

    :raises MoveRefused: as the block does.
    """
    try:
        yield
    except MoveRefused:
        _write(attempt, answer, error=str(error))
        raise


def end_badly(attempt: Attempt, error: Exception, answer: Answer | None = None) -> None:
    """Store what went wrong, with the answer if there was one, and count it."""
    _write(attempt, answer, error=str(error))
    breaker.count_failure(attempt.endpoint.pk, probe=attempt.probe)


def _write(attempt: Attempt, answer: Answer | None, *, error: str) -> None:
    found = {} if answer is None else {
        "status_code": answer.status, "excerpt": answer.excerpt, "latency_ms": answer.latency_ms,
    }  # fmt: skip
    if answer is None:
        waited = timezone.now() - attempt.row.started_at
        found["latency_ms"] = max(0, round(waited.total_seconds() * 1000))
    DeliveryAttempt.objects.filter(pk=attempt.row.pk).update(error=error, **found)


def _store_of_message(job: Job, payload: DeliveryPayload) -> WebhookDelivery:
    """Another attempt of the same job, or its replay, finds what the first one has stored."""
    try:
        endpoint = get_endpoint(job.tenant_id, payload.endpoint_id)
        event_type = check_event_type(payload.event_type or "")
        body = body_of(event_type, payload.data or {}, at=timezone.now())
    except (NotificationError, ValueError) as refusal:
        raise GiveUp(str(refusal)) from None
    user_id = known_user_id(job.user_id)
    delivery = new_delivery(endpoint, event_type=event_type, body=body, user_id=user_id)
    delivery.job = job
    delivery.save(force_insert=True)
    return delivery


def _secrets(endpoint: WebhookEndpoint) -> list[str]:
    """Return what signs: the new secret first, the old one for as long as both may."""
    until, previous = endpoint.previous_secret_until, endpoint.previous_secret
    secrets = [endpoint.secret.get_secret_value()]
    if previous is not None and until is not None and until > database_now():
        with contextlib.suppress(SecretUnreadable):  # The new one is what counts.
            secrets.append(previous.get_secret_value())
    return secrets

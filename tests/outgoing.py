"""Endpoints, deliveries and attempts of both for tests in one process."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

from django.db.models.functions import Now
from django.utils import timezone

from jobs.engine import lifecycle
from jobs.engine.message import Message
from jobs.models import Job, PartitionHold
from notifications.models import DeliveryAttempt, Notification, WebhookDelivery, WebhookEndpoint
from notifications.operations import deliveries, endpoints
from notifications.operations.breaker import partition_of
from project.accounts.models import Tenant
from tests.deliveries import deliver
from tests.drills import take

#: At which nobody listens.
NOWHERE = "http://127.0.0.1:1/nobody"
EVENT = "lamp.lit"
DATA = {"lamp": "LAMP-1", "where": "Zoë's \u2028 desk", "watts": 4.5}
#: What a program sends for an endpoint to be created.
ENDPOINT = {"url": "https://hooks.example.com/in?key=1", "event_types": ["export.completed"]}


def trust_loopback(settings: Any) -> None:
    """Let webhooks be sent to receivers on this machine."""
    settings.NOTIFICATIONS_TRUSTED_NETWORKS = (ip_network("127.0.0.0/8"),)


def make_endpoint(
    tenant: Tenant, url: str = NOWHERE, *, event_types: Sequence[str] = ("*",), **columns: Any
) -> WebhookEndpoint:
    endpoint, _ = endpoints.create_endpoint(
        tenant_id=tenant.pk, user_id=None, url=url, event_types=list(event_types)
    )
    if columns:
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(**columns)
    return WebhookEndpoint.objects.get(pk=endpoint.pk)


def created(api: Callable[..., Any], **changes: Any) -> Any:
    """Create an endpoint by the API, and return its answer, in which is the secret."""
    answer = api("post", body=ENDPOINT | changes)
    assert answer.status_code == 201, answer.content
    return answer.json()


def make_delivery(endpoint: WebhookEndpoint, **changes: Any) -> WebhookDelivery:
    """Ask for a delivery; `user_id`, `event_type` and `data` may be others."""
    wanted = {"user_id": None, "event_type": EVENT, "data": DATA, **changes}
    return deliveries.request_delivery(
        tenant_id=endpoint.tenant_id, endpoint_id=endpoint.pk, **wanted
    )


def attempt(row: WebhookDelivery | Notification) -> str:
    """Let the row's newest job be due, make one attempt, and say what the broker is told."""
    return deliver(take_only(job_of(row)))


def take_only(job: Job) -> Message:
    """Take a job, however early it is; what else was due waits on."""
    Job.objects.filter(pk=job.pk).update(run_at=timezone.now() - timedelta(days=1))
    taken = {message.id: message for message in take()}
    mine = taken.pop(str(job.pk))
    for other in Job.objects.filter(pk__in=taken):
        lifecycle.put_back(other, "not this one")
    return mine


def attempt_often(row: WebhookDelivery | Notification, times: int) -> list[str]:
    return [attempt(row) for _ in range(times)]


def job_of(row: WebhookDelivery | Notification) -> Job:
    return Job.objects.get(pk=anew(row).job_id)


def anew(row: Any) -> Any:
    """Return the row as the database has it."""
    return type(row).objects.get(pk=row.pk)


def status_of(delivery: WebhookDelivery) -> str:
    return WebhookDelivery.objects.get(pk=delivery.pk).status


def history(delivery: WebhookDelivery) -> list[Any]:
    """Return the attempts of a delivery, over all its jobs, first to last."""
    return list(DeliveryAttempt.objects.filter(delivery=delivery.pk).order_by("number"))


def is_held(endpoint: WebhookEndpoint) -> bool:
    """Say whether the relay takes none of the endpoint's jobs at this moment."""
    return PartitionHold.objects.filter(
        partition=partition_of(endpoint.pk), until__gt=Now()
    ).exists()


def let_breaker_rest(endpoint: WebhookEndpoint) -> None:
    """Let the time be over for which the endpoint's breaker is open."""
    over = Now() - timedelta(seconds=1)
    WebhookEndpoint.objects.filter(pk=endpoint.pk, open_until__isnull=False).update(open_until=over)
    PartitionHold.objects.filter(partition=partition_of(endpoint.pk)).update(until=over)

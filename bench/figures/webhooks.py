"""How long is an event on its way to its endpoint, while another tenant's endpoint hangs?"""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median

from django.conf import settings
from django.db import connection, transaction

from bench.rounds import Figure, Goal, in_turns
from bench.stage import Stage
from jobs.announcements import announce
from jobs.operations import enqueue_many
from notifications.models import WebhookDelivery, WebhookEndpoint
from notifications.operations.breaker import SYNC
from notifications.operations.deliveries import body_of, new_delivery
from notifications.operations.endpoints import create_endpoint
from notifications.payloads import DeliveryPayload
from project.accounts.models import Tenant
from tests.webhook_receiver import WebhookReceiver, webhook_receiver

EVENTS = 60
EVENT_SECONDS = 0.2  #: Between two events.
WAITING = 10_000  #: Deliveries of the endpoint that hangs.
#: Two of them hang with the endpoint, as `max_in_flight` lets them.
CHILDREN = 4
PATIENCE_SECONDS = 120

#: The breaker stays closed: what is measured is the time before it opens.
WORKER = {"NOTIFICATIONS_BREAKER_FAILURES": "1000000"}


def measure(stage: Stage, rounds: int) -> list[Figure]:
    """Return the figure of event to delivery, beside one that hangs and alone."""
    with (
        webhook_receiver() as well,
        webhook_receiver(default="hang") as ill,
        stage.worker(children=CHILDREN, env=WORKER),
        stage.relay(),
    ):
        tenant = _tenant_with("well", well.url)
        _median_delay(tenant, well, events=10)
        idle = partial(_median_delay, tenant, well)
        pairs = in_turns(rounds, idle, partial(_beside, ill, idle))
    name = f"event to delivery, beside another tenant's hung endpoint with {WAITING:,} waiting"
    return [Figure(name, "the same, with nobody else", "ms", Goal(2, most=True), pairs)]


def _beside(ill: WebhookReceiver, measured: partial[float]) -> float:
    with _hung(ill):
        return measured()


@contextmanager
def _hung(ill: WebhookReceiver) -> Iterator[None]:
    """Let deliveries wait for an endpoint of another tenant, and hang."""
    tenant = _tenant_with("ill", ill.url)
    endpoint = WebhookEndpoint.objects.get(tenant=tenant)
    _store_many(endpoint)
    connections = ill.connections
    while ill.connections - connections < 2:
        time.sleep(0.01)
    yield
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE jobs_job CASCADE")  # With the deliveries.
    time.sleep(settings.NOTIFICATIONS_DELIVERY_SECONDS + 1)  # Until what hangs has ended.


def _store_many(endpoint: WebhookEndpoint) -> None:
    body = body_of("item.made", {}, at=endpoint.created_at)
    rows = [
        new_delivery(endpoint, event_type="item.made", body=body, user_id=None)
        for _ in range(WAITING)
    ]
    payloads = [DeliveryPayload(endpoint_id=endpoint.pk, delivery_id=row.pk) for row in rows]
    with transaction.atomic():
        for row, job in zip(
            rows, enqueue_many(SYNC, payloads, tenant_id=endpoint.tenant_id), strict=True
        ):
            row.job = job
        WebhookDelivery.objects.bulk_create(rows, batch_size=1_000)


def _median_delay(tenant: Tenant, receiver: WebhookReceiver, *, events: int = EVENTS) -> float:
    """Return the median of the milliseconds from an event's commit to its arrival."""
    committed = {}
    for _ in range(events):
        woken = time.monotonic()
        name = str(uuid.uuid4())
        with transaction.atomic():
            announce("item.made", tenant_id=tenant.pk, user_id=None, data={"name": name})
        committed[name] = time.time()
        time.sleep(max(0.0, woken + EVENT_SECONDS - time.monotonic()))
    arrived = _arrivals(receiver, committed)
    return median(arrived[name] - moment for name, moment in committed.items()) * 1000


def _arrivals(receiver: WebhookReceiver, committed: dict[str, float]) -> dict[str, float]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        arrived = {
            name: request.received_at.timestamp()
            for request in list(receiver.requests)
            for name in committed
            if name.encode() in request.body
        }
        if len(arrived) == len(committed):
            receiver.requests.clear()
            return arrived
        time.sleep(0.05)
    raise TimeoutError(f"{len(committed) - len(arrived)} of {len(committed)} never arrived.")


def _tenant_with(name: str, url: str) -> Tenant:
    slug = f"{name}-{uuid.uuid4().hex[:8]}"
    tenant = Tenant.objects.create(name=name, slug=slug)
    create_endpoint(tenant_id=tenant.pk, user_id=None, url=url, event_types=["*"])
    return tenant

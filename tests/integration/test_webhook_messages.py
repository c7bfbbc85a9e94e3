"""Deliveries that other programs ask for by a message, which has no row of ours to name."""

import pytest

from jobs import enqueue
from jobs.errors import PayloadRefused
from jobs.models import Job
from jobs.operations import replay_job
from jobs.testing import run_enqueued_jobs
from notifications.models import WebhookDelivery
from notifications.operations import deliveries, endpoints
from notifications.operations.breaker import SYNC
from tests.deliveries import deliver
from tests.drills import fresh, make_due, take
from tests.outgoing import DATA, EVENT, make_delivery
from tests.people import make_tenant

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("patient_breaker")]


class TestAWholeMessage:
    """Of another program, which has no row of ours to name."""

    def enqueue(self, endpoint, tenant_id=None, **changes):
        payload = {"endpoint_id": str(endpoint.pk), "event_type": EVENT, "data": DATA, **changes}
        return enqueue(SYNC, payload, tenant_id=tenant_id or endpoint.tenant_id)

    def test_is_stored_once_over_attempts_and_replays(self, receiver, endpoint):
        receiver.default = 500
        job = self.enqueue(endpoint)
        for _ in range(4):
            make_due(job)
            deliver(take()[0])
        delivery = WebhookDelivery.objects.get()
        assert (delivery.status, delivery.attempts_started) == ("failed", 4)

        receiver.default = 200
        replay_job(job_id=job.pk, by="ann")
        run_enqueued_jobs()

        now = WebhookDelivery.objects.get()
        assert (now.pk, now.status, now.attempts_started) == (delivery.pk, "delivered", 5)
        assert {request.headers["webhook-id"] for request in receiver.requests} == {
            str(delivery.pk)
        }
        assert len({request.body for request in receiver.requests}) == 1

    @pytest.mark.parametrize("changes", [{"event_type": "Lamp"}, {"event_type": ""}])
    def test_of_what_can_not_be_is_dead_at_once(self, receiver, endpoint, changes):
        job = self.enqueue(endpoint, **changes)
        assert deliver(take()[0]) == "rejected: GiveUp"
        assert (fresh(job).state, fresh(job).failures) == ("failed", 1)
        assert not WebhookDelivery.objects.exists()

    def test_of_what_nobody_could_show_is_refused_or_dead_at_once(self, receiver, endpoint):
        deep: list[object] = []
        for _ in range(200):
            deep = [deep]
        with pytest.raises(PayloadRefused, match="data: "):
            self.enqueue(endpoint, data={"a": deep})
        event = {"event_type": EVENT, "occurred_at": "2026-01-01T00:00:00Z", "data": {"a": deep}}
        with pytest.raises(PayloadRefused, match="data: "):
            enqueue("notifications.announce_event", event)

        # And where a program has put it past us, into the queue
        job = self.enqueue(endpoint)
        Job.objects.update(payload=job.payload | {"data": {"a": deep}})
        assert deliver(take()[0]) == "rejected: PayloadRefused"
        assert (fresh(job).state, WebhookDelivery.objects.count()) == ("failed", 0)

    def test_to_an_endpoint_of_another_tenant_is_dead_at_once(self, receiver, endpoint):
        job = self.enqueue(endpoint, make_tenant("other").pk)
        assert deliver(take()[0]) == "rejected: GiveUp"
        assert fresh(job).error == f"GiveUp: There is no webhook endpoint {endpoint.pk}."
        assert (WebhookDelivery.objects.count(), receiver.requests) == (0, [])

    def test_that_names_a_delivery_of_another_job_sends_nothing(self, receiver, endpoint):
        delivery = make_delivery(endpoint)
        deliveries.cancel_delivery(tenant_id=None, delivery_id=delivery.pk, by="ann")
        thief = enqueue(
            SYNC,
            {"endpoint_id": str(endpoint.pk), "delivery_id": str(delivery.pk)},
            tenant_id=make_tenant("other").pk,
        )
        run_enqueued_jobs()
        assert (fresh(thief).state, receiver.requests) == ("cancelled", [])

    def test_to_a_disabled_endpoint_is_cancelled(self, endpoint):
        endpoints.disable_endpoint(endpoint.pk, "by hand")
        job = self.enqueue(endpoint)
        run_enqueued_jobs()
        assert fresh(job).state == "cancelled"

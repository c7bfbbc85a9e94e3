"""Deliveries from their request to a receiver, and where they end when it is gone."""

import json
import uuid
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from django.db.models import F
from standardwebhooks import Webhook, WebhookVerificationError

from jobs.dead_letters.record import record
from jobs.models import DeadLetter, Job
from jobs.operations import cancel_job
from jobs.testing import run_enqueued_jobs
from notifications.errors import EndpointDisabled
from notifications.models import DeliveryAttempt, WebhookDelivery
from notifications.operations import deliveries, endpoints
from tests.dead import dead_message_of
from tests.deliveries import at_once, deliver
from tests.drills import fresh, take
from tests.harness.crowd import crowded_receiver
from tests.harness.waiting import wait_for
from tests.outgoing import (
    DATA,
    EVENT,
    anew,
    attempt,
    attempt_often,
    history,
    job_of,
    make_delivery,
    make_endpoint,
    status_of,
)
from tests.webhook_receiver import Scripted, webhook_receiver

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("patient_breaker")]


class TestADelivery:
    def test_arrives_as_it_was_stored_to_the_byte(self, receiver, endpoint):
        delivery = make_delivery(endpoint)
        stored = delivery.body

        attempt(delivery)

        [request] = receiver.requests
        assert request.body == stored.encode()
        message = json.loads(request.body)
        assert message.keys() == {"type", "timestamp", "data"}
        assert (message["type"], message["data"]) == (EVENT, DATA)
        assert datetime.fromisoformat(message["timestamp"]).tzinfo == UTC
        assert request.headers["content-type"] == "application/json"

    def test_is_verified_by_the_receivers_library(self, receiver, endpoint):
        delivery = make_delivery(endpoint)
        attempt(delivery)

        [request] = receiver.requests
        secret = endpoint.secret.get_secret_value()
        assert Webhook(secret).verify(request.body, request.headers) == json.loads(request.body)
        assert request.headers["webhook-id"] == str(delivery.pk)
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(request.body + b" ", request.headers)

    def test_is_queued_then_processed_then_delivered(self, receiver, endpoint):
        seen = []
        delivery = make_delivery(endpoint)
        seen.append(status_of(delivery))
        receiver.answers = [500, Scripted(200, body=b"thanks")]
        attempt(delivery)
        seen.append(status_of(delivery))
        attempt(delivery)

        assert [*seen, status_of(delivery)] == ["queued", "processing", "delivered"]
        now = anew(delivery)
        assert (now.attempts, now.attempts_started, now.error) == (2, 2, "")
        assert now.settled_at
        assert job_of(delivery).state == "succeeded"

    def test_keeps_its_id_over_all_attempts_which_are_later_each(self, receiver, endpoint):
        receiver.default = 500
        delivery = make_delivery(endpoint)
        for _ in range(4):
            attempt(delivery)

        assert {request.headers["webhook-id"] for request in receiver.requests} == {
            str(delivery.pk)
        }
        stamps = [int(request.headers["webhook-timestamp"]) for request in receiver.requests]
        assert stamps == sorted(stamps)
        for request in receiver.requests:
            signed_at = int(request.headers["webhook-timestamp"])
            assert abs(request.received_at.timestamp() - signed_at) < 60
            Webhook(endpoint.secret.get_secret_value()).verify(request.body, request.headers)

    def test_is_signed_anew_for_each_attempt(self, receiver, endpoint, monkeypatch):
        receiver.default = 500
        delivery = make_delivery(endpoint)
        moments = iter([1_800_000_000.9, 1_800_000_010.2])
        clock = SimpleNamespace(time=lambda: next(moments))
        monkeypatch.setattr("notifications.operations.attempts.time", clock)
        attempt_often(delivery, 2)

        stamps = [request.headers["webhook-timestamp"] for request in receiver.requests]
        signatures = {request.headers["webhook-signature"] for request in receiver.requests}
        assert stamps == ["1800000000", "1800000010"]
        assert len(signatures) == 2

    def test_fails_after_its_attempts_with_one_dead_letter(self, receiver, endpoint):
        receiver.default = 500
        delivery = make_delivery(endpoint)

        answers = attempt_often(delivery, 4)
        assert record(dead_message_of(job_of(delivery)))

        assert answers == [*["acknowledged: retried"] * 3, "rejected: DeliveryFailed"]
        now = anew(delivery)
        assert (now.status, now.attempts) == ("failed", 4)
        assert now.error == "DeliveryFailed: The receiver answered 500."
        assert DeadLetter.objects.get().job_id == now.job_id

    def test_that_is_cancelled_is_never_sent(self, receiver, endpoint):
        delivery = make_delivery(endpoint)
        deliveries.cancel_delivery(tenant_id=endpoint.tenant_id, delivery_id=delivery.pk, by="ann")
        run_enqueued_jobs()

        assert receiver.requests == []
        assert (status_of(delivery), anew(delivery).error) == ("cancelled", "Cancelled by ann.")

    def test_that_is_cancelled_in_the_middle_of_an_attempt_stays_cancelled(self, acme):
        with webhook_receiver(default="hang") as receiver:
            delivery = make_delivery(make_endpoint(acme, receiver.url))
            [message] = take()

            def cancel():
                wait_for(lambda: bool(receiver.requests), 60, "the request came")
                cancel_job(job_id=job_of(delivery).pk, by="ann")
                receiver.release()

            said, _ = at_once(lambda: deliver(message), cancel)

        assert said == "acknowledged: ignored"
        assert status_of(delivery) == "cancelled"
        [only] = history(delivery)  # Its own row says what became of it, and nothing else does.
        assert (only.status_code, only.error.split(" ", 1)[0]) == (None, "127.0.0.1")
        assert only.latency_ms is not None
        assert anew(delivery.endpoint).failures_in_a_row == 0

    def test_that_is_accepted_although_it_was_cancelled_says_so_in_its_history(self, acme):
        with crowded_receiver() as receiver:
            delivery = make_delivery(make_endpoint(acme, receiver.url))
            [message] = take()

            def cancel():
                wait_for(lambda: bool(receiver.begun), 60, "the request came")
                cancel_job(job_id=job_of(delivery).pk, by="ann")
                receiver.release()

            said, _ = at_once(lambda: deliver(message), cancel)

        assert said == "acknowledged: ignored"
        assert (status_of(delivery), anew(delivery).error) == ("cancelled", "Cancelled by ann.")
        [only] = history(delivery)
        assert (only.status_code, only.error) == (204, "")
        assert only.latency_ms is not None

    def test_whose_job_another_attempt_has_writes_its_own_row_alone(self, acme):
        # Given an attempt whose job recovery gave to a second one, while the receiver hung
        with crowded_receiver() as receiver:
            delivery = make_delivery(make_endpoint(acme, receiver.url))
            [message] = take()

            def give_away():
                wait_for(lambda: bool(receiver.begun), 60, "the request came")
                Job.objects.update(attempt=F("attempt") + 1)
                second = DeliveryAttempt.objects.create(
                    delivery=delivery, number=2, job_id=job_of(delivery).pk
                )
                receiver.release()
                return second

            at_once(lambda: deliver(message), give_away)

        first, second = history(delivery)
        assert (first.status_code, second.status_code, second.latency_ms) == (204, None, None)
        assert status_of(delivery) == "processing"


class TestGone:
    def test_disables_the_endpoint_and_cancels_what_waits(self, receiver, endpoint):
        receiver.default = 410
        first, second = make_delivery(endpoint), make_delivery(endpoint)
        told = attempt(first)
        run_enqueued_jobs()

        assert told == "rejected: EndpointGone"
        now = anew(endpoint)
        assert (now.enabled, now.disabled_reason) == (False, "the receiver answered 410 Gone")
        assert (status_of(first), status_of(second)) == ("failed", "cancelled")
        assert history(first)[0].status_code == 410
        assert len(receiver.requests) == 1


class TestADisabledEndpoint:
    def test_cancels_what_waits_without_dead_letters(self, receiver, endpoint):
        waiting, retrying = make_delivery(endpoint), make_delivery(endpoint)
        receiver.answers = [500]
        attempt(retrying)
        endpoints.disable_endpoint(endpoint.pk, "by hand")
        run_enqueued_jobs()

        assert (status_of(waiting), status_of(retrying)) == ("cancelled", "cancelled")
        assert job_of(waiting).state == "cancelled"
        assert not Job.objects.filter(dead_letter_due_at__isnull=False).exists()
        assert len(receiver.requests) == 1

    def test_is_asked_for_nothing(self, endpoint):
        endpoints.disable_endpoint(endpoint.pk, "by hand")
        with pytest.raises(EndpointDisabled, match="by hand"):
            make_delivery(endpoint)

    def test_sends_again_once_it_is_enabled(self, receiver, endpoint):
        waiting = make_delivery(endpoint)
        endpoints.disable_endpoint(endpoint.pk, "by hand")
        run_enqueued_jobs()
        endpoints.update_endpoint(
            tenant_id=endpoint.tenant_id, endpoint_id=endpoint.pk, enabled=True
        )
        deliveries.resend_delivery(tenant_id=None, delivery_id=waiting.pk, by="ann")
        run_enqueued_jobs()

        assert status_of(waiting) == "delivered"


class TestADeletedEndpoint:
    def test_takes_its_deliveries_and_cancels_their_jobs(self, receiver, endpoint):
        delivery = make_delivery(endpoint)
        job = job_of(delivery)
        endpoints.delete_endpoint(tenant_id=endpoint.tenant_id, endpoint_id=endpoint.pk)
        run_enqueued_jobs()

        assert not WebhookDelivery.objects.exists()
        assert fresh(job).state == "cancelled"
        assert not Job.objects.filter(state="failed").exists()
        assert receiver.requests == []


class TestAnUnknownId:
    def test_is_refused_by_name(self, acme):
        missing = uuid.uuid4()
        with pytest.raises(Exception, match=f"There is no delivery {missing}"):
            deliveries.resend_delivery(tenant_id=acme.pk, delivery_id=missing, by="ann")

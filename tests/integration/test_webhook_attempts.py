"""What is kept of each attempt to deliver, and how long the next one waits."""

import pytest
from django.utils import timezone

from notifications.models import WebhookEndpoint
from tests.outgoing import (
    NOWHERE,
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


def wait_of(row):
    """Return the seconds until the next attempt."""
    return (job_of(row).run_at - timezone.now()).total_seconds()


class TestAnAttempt:
    def test_is_kept_with_its_answer(self, receiver, endpoint):
        receiver.answers = [Scripted(503, body=b"down for \x00 lunch"), Scripted(202, body=b"ok")]
        delivery = make_delivery(endpoint)
        attempt_often(delivery, 2)

        first, second = history(delivery)
        assert (first.number, first.status_code) == (1, 503)
        assert first.error == "The receiver answered 503."
        assert first.excerpt == "down for \N{REPLACEMENT CHARACTER} lunch"
        assert (second.number, second.status_code, second.error) == (2, 202, "")
        assert second.excerpt == "ok"
        for each in (first, second):
            assert each.job_id == delivery.job_id
            assert each.latency_ms >= 0
            assert each.started_at <= timezone.now()

    def test_without_an_answer_is_kept_with_the_reason(self, acme):
        delivery = make_delivery(make_endpoint(acme, NOWHERE))
        attempt(delivery)

        [only] = history(delivery)
        assert (only.status_code, only.excerpt) == (None, "")
        assert only.error.startswith("127.0.0.1 ")
        assert only.latency_ms >= 0

    def test_is_there_before_its_request_is(self, receiver, endpoint, monkeypatch):
        # Given a process that dies as soon as it has begun to send
        class Killed(BaseException):
            pass

        def die(*_, **__):
            raise Killed

        delivery = make_delivery(endpoint)
        monkeypatch.setattr("notifications.tasks.webhook.post", die)
        with pytest.raises(Killed):
            attempt(delivery)

        [only] = history(delivery)
        assert (only.number, only.status_code, only.latency_ms, only.error) == (1, None, None, "")

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_that_is_redirected_fails_and_follows_nobody(self, acme, status):
        with webhook_receiver() as other, webhook_receiver() as receiver:
            receiver.default = Scripted(status, {"Location": other.url})
            delivery = make_delivery(make_endpoint(acme, receiver.url))
            attempt(delivery)
            assert other.requests == []

        assert history(delivery)[0].error == f"The receiver answered {status}."

    @pytest.mark.parametrize("status", [100, 199, 304, 400, 404, 500])
    def test_counts_for_success_with_2xx_alone(self, receiver, endpoint, status):
        receiver.default = status
        delivery = make_delivery(endpoint)
        attempt(delivery)
        assert status_of(delivery) == "processing"

    def test_to_an_address_inside_is_the_last_one(self, endpoint, settings):
        # Given an address that was trusted when its endpoint was made
        settings.NOTIFICATIONS_TRUSTED_NETWORKS = ()
        WebhookEndpoint.objects.update(url="https://127.0.0.1/hooks")
        delivery = make_delivery(endpoint)

        assert attempt(delivery) == "rejected: AddressRefused"
        assert status_of(delivery) == "failed"


class TestTheWait:
    def test_doubles_from_attempt_to_attempt(self, receiver, endpoint):
        receiver.default = 500
        delivery = make_delivery(endpoint)
        for seconds in (10, 20, 40):
            attempt(delivery)
            assert abs(wait_of(delivery) - seconds) < 5

    @pytest.mark.parametrize("status", [429, 503])
    def test_is_as_long_as_the_receiver_asks(self, receiver, endpoint, status):
        receiver.default = Scripted(status, {"Retry-After": "120"})
        delivery = make_delivery(endpoint)
        attempt(delivery)
        assert abs(wait_of(delivery) - 120) < 5
        assert history(delivery)[0].error == (
            f"The receiver answered {status} and asked to wait 120 s."
        )

    def test_is_not_shorter_for_it(self, receiver, endpoint):
        receiver.default = Scripted(503, {"Retry-After": "1"})
        delivery = make_delivery(endpoint)
        attempt_often(delivery, 2)
        assert abs(wait_of(delivery) - 20) < 5

    def test_is_capped(self, receiver, endpoint, settings):
        settings.NOTIFICATIONS_RETRY_AFTER_MAX_SECONDS = 300
        receiver.default = Scripted(429, {"Retry-After": "86400"})
        delivery = make_delivery(endpoint)
        attempt(delivery)
        assert abs(wait_of(delivery) - 300) < 5

    def test_is_the_usual_where_another_status_asks(self, receiver, endpoint):
        receiver.default = Scripted(500, {"Retry-After": "120"})
        delivery = make_delivery(endpoint)
        attempt(delivery)
        assert abs(wait_of(delivery) - 10) < 5

    def test_that_is_asked_for_spends_attempts_as_any_other(self, receiver, endpoint):
        receiver.default = Scripted(429, {"Retry-After": "5"})
        delivery = make_delivery(endpoint)
        assert attempt_often(delivery, 4)[-1] == "rejected: RetryAfter"
        assert status_of(delivery) == "failed"

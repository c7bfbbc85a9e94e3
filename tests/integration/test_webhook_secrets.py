"""Secrets of endpoints: how they change, and where they are never seen."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from jobs.testing import run_enqueued_jobs
from notifications.models import WebhookEndpoint
from notifications.operations import endpoints
from tests.deliveries import at_once
from tests.outgoing import anew, attempt, attempt_often, history, make_delivery
from tests.people import make_member

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("patient_breaker")]


class TestRotation:
    def test_lets_both_secrets_sign_for_a_while(self, receiver, endpoint):
        old = endpoint.secret.get_secret_value()
        _, new = endpoints.rotate_secret(tenant_id=endpoint.tenant_id, endpoint_id=endpoint.pk)
        attempt(make_delivery(endpoint))

        [request] = receiver.requests
        assert len(request.headers["webhook-signature"].split(" ")) == 2
        for secret in (old, new):
            Webhook(secret).verify(request.body, request.headers)

    def test_lets_the_old_one_sign_no_longer_than_that(self, receiver, endpoint):
        old = endpoint.secret.get_secret_value()
        _, new = endpoints.rotate_secret(tenant_id=endpoint.tenant_id, endpoint_id=endpoint.pk)
        WebhookEndpoint.objects.update(previous_secret_until=timezone.now() - timedelta(seconds=1))
        attempt(make_delivery(endpoint))

        [request] = receiver.requests
        assert len(request.headers["webhook-signature"].split(" ")) == 1
        Webhook(new).verify(request.body, request.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(old).verify(request.body, request.headers)

    def test_by_two_at_once_gives_secrets_that_both_sign(self, receiver, endpoint):
        def rotate():
            return endpoints.rotate_secret(tenant_id=endpoint.tenant_id, endpoint_id=endpoint.pk)[1]

        secrets = at_once(rotate, rotate)
        attempt(make_delivery(endpoint))

        [request] = receiver.requests
        for secret in secrets:
            Webhook(secret).verify(request.body, request.headers)


class TestASecretThatNoKeyCanRead:
    def test_is_told_to_the_tenant_and_to_the_operator_in_their_own_words(
        self, settings, receiver, endpoint, caplog
    ):
        # Given an endpoint whose secret was written with a key that is gone
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", []
        delivery = make_delivery(endpoint)

        # When it is tried, then it is tried again
        assert attempt(delivery) == "acknowledged: retried"

        # And its history says why, without what is the operator's
        [row] = history(delivery)
        assert row.error == "The endpoint's secret can't be read; the operator has been told."
        assert row.latency_ms is not None
        attempt_often(delivery, 3)
        assert (anew(delivery).status, anew(delivery).attempts) == ("failed", 4)
        assert anew(delivery).error == f"SecretNotRead: {row.error}"
        assert "SECRETS_KEYS" in caplog.text
        assert receiver.requests == []

    def test_does_not_count_against_the_receiver(self, settings, receiver, endpoint):
        settings.NOTIFICATIONS_BREAKER_FAILURES = 1
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another", []
        attempt_often(make_delivery(endpoint), 4)
        now = anew(endpoint)
        assert (now.failures_in_a_row, now.failing_since, now.open_until) == (0, None, None)


class TestSecrets:
    def test_are_in_no_log_line_and_no_text_of_a_row(self, receiver, endpoint, caplog):
        secret = endpoint.secret.get_secret_value()
        with caplog.at_level("DEBUG"):
            delivery = make_delivery(endpoint, user_id=make_member(endpoint.tenant).pk)
            receiver.answers = [500]
            attempt(delivery)
            _, new = endpoints.rotate_secret(tenant_id=None, endpoint_id=endpoint.pk)
            run_enqueued_jobs()
        now = anew(endpoint)
        shown = f"{caplog.text} {now!r} {now} {now.__dict__} {delivery!r} {history(delivery)!r}"
        for hidden in (secret, new):
            assert hidden not in shown
            assert hidden.removeprefix("whsec_") not in shown

    def test_are_in_no_column_of_the_database(self, endpoint):
        with connection.cursor() as cursor:
            cursor.execute("SELECT secret FROM notifications_webhookendpoint")
            [stored] = cursor.fetchone()
        assert endpoint.secret.get_secret_value().encode() not in bytes(stored)

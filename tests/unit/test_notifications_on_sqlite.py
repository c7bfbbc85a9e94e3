"""
Holds, the breaker, mails and deliveries on SQLite, where the embedded profile keeps its ledger.

A run on PostgreSQL leaves this module out; tests/integration/test_on_sqlite.py runs it then.
"""

from datetime import timedelta

import pytest
from cryptography.fernet import Fernet
from django.core import mail as django_mail
from django.utils import timezone
from standardwebhooks import Webhook

from jobs import enqueue
from jobs.announcements import announce
from jobs.engine import relay
from jobs.errors import NotNow
from jobs.holds import hold_partition, release_partition
from jobs.models import PartitionHold
from jobs.testing import run_enqueued_jobs
from notifications import retention
from notifications.models import Notification, WebhookDelivery
from notifications.operations import breaker, deliveries, endpoints, mails, resending
from notifications.operations.reencryption import reencrypt_all
from tests.drills import ACME, GLOBEX, fresh, on_postgres, run_atomic, script, take
from tests.letters import make_letter
from tests.outgoing import (
    anew,
    attempt,
    attempt_often,
    is_held,
    job_of,
    let_breaker_rest,
    make_delivery,
    make_endpoint,
    trust_loopback,
)
from tests.people import make_tenant
from tests.webhook_receiver import webhook_receiver

if on_postgres():
    pytest.skip("tests/integration/test_on_sqlite.py runs it", allow_module_level=True)

pytestmark = pytest.mark.django_db

HELD = f"jobs/{ACME}"


@pytest.fixture
def receiver(settings):
    trust_loopback(settings)
    settings.NOTIFICATIONS_BREAKER_FAILURES = 3
    with webhook_receiver() as receiver:
        yield receiver


@pytest.fixture
def acme():
    return make_tenant("acme")


@pytest.fixture
def endpoint(acme, receiver):
    return make_endpoint(acme, receiver.url)


class TestAHold:
    def test_keeps_its_jobs_back_and_no_others(self):
        held = enqueue(run_atomic, {}, tenant_id=ACME)
        free = enqueue(run_atomic, {}, tenant_id=GLOBEX)
        hold_partition(HELD, seconds=60, reason="down")
        assert [message.id for message in take()] == [str(free.pk)]
        release_partition(HELD)
        assert [message.id for message in take()] == [str(held.pk)]

    def test_ends_by_itself(self):
        job = enqueue(run_atomic, {}, tenant_id=ACME)
        hold_partition(HELD, seconds=60)
        PartitionHold.objects.update(until=timezone.now() - timedelta(milliseconds=10))
        assert [message.id for message in take()] == [str(job.pk)]

    def test_lets_the_relay_sleep_until_it_ends(self, settings):
        settings.JOBS_RELAY_POLL_SECONDS = 3_600
        enqueue(run_atomic, {}, tenant_id=ACME)
        hold_partition(HELD, seconds=600)
        assert relay.seconds_until_due() == pytest.approx(600, abs=60)
        enqueue(run_atomic, {}, tenant_id=GLOBEX)
        assert relay.seconds_until_due() == relay.HELD_BACK_SECONDS


class TestNotNow:
    def test_puts_the_job_back_and_spends_nothing(self, monkeypatch):
        def rest(job, payload):
            raise NotNow("its receiver rests", seconds=90)

        monkeypatch.setattr(script, "run", rest)
        job = enqueue(run_atomic, {})
        before = timezone.now()
        run_enqueued_jobs()
        now = fresh(job)
        assert (now.state, now.failures) == ("waiting", 0)
        assert now.run_at >= before + timedelta(seconds=89)


class TestADelivery:
    def test_arrives_signed(self, receiver, endpoint):
        delivery = make_delivery(endpoint)
        run_enqueued_jobs()
        [request] = receiver.requests
        Webhook(endpoint.secret.get_secret_value()).verify(request.body, request.headers)
        assert anew(delivery).status == "delivered"

    def test_is_sent_again(self, receiver, endpoint):
        delivery = make_delivery(endpoint)
        run_enqueued_jobs()
        deliveries.resend_delivery(tenant_id=None, delivery_id=delivery.pk, by="ann")
        run_enqueued_jobs()
        _, matching = resending.request_resend(
            tenant_id=None, user_id=None, endpoint_id=endpoint.pk, status="delivered"
        )
        run_enqueued_jobs()
        assert (matching, len(receiver.requests)) == (1, 3)

    def test_goes_with_its_endpoint(self, receiver, endpoint):
        job = job_of(make_delivery(endpoint))
        endpoints.delete_endpoint(tenant_id=None, endpoint_id=endpoint.pk)
        run_enqueued_jobs()
        assert (fresh(job).state, WebhookDelivery.objects.count()) == ("cancelled", 0)


class TestTheBreaker:
    def test_opens_holds_and_is_closed_by_the_one_that_tries(self, receiver, endpoint):
        receiver.default = 500
        delivery = make_delivery(endpoint)
        attempt_often(delivery, 3)
        rest = make_delivery(endpoint)
        assert is_held(endpoint)
        assert take() == []

        let_breaker_rest(endpoint)
        receiver.default = 200
        assert attempt(delivery) == "acknowledged"

        assert not is_held(endpoint)
        assert anew(endpoint).open_until is None
        assert [message.id for message in take()] == [str(rest.job_id)]

    def test_lets_one_try_at_a_time(self, receiver, endpoint):
        for _ in range(3):
            breaker.count_failure(endpoint.pk, probe=None)
        let_breaker_rest(endpoint)
        before = anew(endpoint)
        probe = breaker.take_turn(before)
        for seen in (before, anew(endpoint)):
            with pytest.raises(NotNow):
                breaker.take_turn(seen)

        breaker.count_failure(endpoint.pk, probe=probe)
        assert anew(endpoint).openings == 2


class TestAMail:
    def test_is_sent(self, acme):
        mail = mails.request_mail(
            tenant_id=acme.pk, user_id=None, email="ann@example.com", subject="x", html="<p>x</p>"
        )
        run_enqueued_jobs()
        assert (anew(mail).status, len(django_mail.outbox)) == ("sent", 1)

    def test_that_came_whole_is_sent(self, acme):
        payload = {"email": "ann@example.com", "subject": "x", "html": "<p>x</p>"}
        enqueue(mails.TASK, payload, tenant_id=acme.pk)
        run_enqueued_jobs()
        assert Notification.objects.get().status == "sent"


class TestTheRest:
    def test_tells_endpoints(self, receiver, endpoint):
        announce("export.completed", tenant_id=endpoint.tenant_id, user_id=None, data={})
        make_letter(tenant_id=endpoint.tenant_id)
        make_letter(tenant_id=endpoint.tenant_id)
        run_enqueued_jobs()
        types = WebhookDelivery.objects.order_by("event_type").values_list("event_type", flat=True)
        assert list(types) == ["export.completed", "job.dead_lettered"]

    def test_deletes_what_ended_long_ago(self, receiver, endpoint):
        make_delivery(endpoint)
        run_enqueued_jobs()
        assert retention.delete_expired(now=timezone.now() + timedelta(days=1_000)) == 1

    def test_encrypts_again(self, settings, endpoint):
        settings.SECRETS_KEYS = [Fernet.generate_key().decode()]
        other = make_endpoint(make_tenant("other"), endpoint.url)
        settings.SECRETS_KEYS = [Fernet.generate_key().decode(), *settings.SECRETS_KEYS]
        before = anew(other).secret.get_secret_value()
        assert reencrypt_all() == (2, 0)
        assert anew(other).secret.get_secret_value() == before

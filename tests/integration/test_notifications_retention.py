"""The clean-up of mails and deliveries that ended long ago."""

from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.utils import timezone

from jobs.models import Job
from jobs.testing import run_enqueued_jobs
from jobs.upkeep.settled_jobs import delete_settled_jobs
from notifications import retention
from notifications.models import DeliveryAttempt, Notification, WebhookDelivery, WebhookEndpoint
from notifications.operations import deliveries, mails
from notifications.tasks import delete_expired
from tests.cleaning import meanwhile, run_part
from tests.outgoing import anew, attempt, make_delivery, make_endpoint, trust_loopback
from tests.webhook_receiver import webhook_receiver

pytestmark = pytest.mark.django_db(transaction=True)

NOW = timezone.now()
INSTANT = timedelta(microseconds=1)
LIMIT = NOW - timedelta(days=django_settings.NOTIFICATIONS_KEEP_DAYS)
OLD = LIMIT - INSTANT


@pytest.fixture
def endpoint(settings, acme):
    trust_loopback(settings)
    with webhook_receiver() as receiver:
        yield make_endpoint(acme, receiver.url)


def make_mail(acme):
    return mails.request_mail(
        tenant_id=acme.pk, user_id=None, email="ann@example.com", subject="x", html="<p>x</p>"
    )


def age(row, settled_at):
    type(row).objects.filter(pk=row.pk).update(settled_at=settled_at)
    return row


def sent(acme, settled_at):
    mail = make_mail(acme)
    run_enqueued_jobs()
    return age(mail, settled_at)


def delivered(endpoint, settled_at):
    delivery = make_delivery(endpoint)
    run_enqueued_jobs()
    return age(delivery, settled_at)


def left(model):
    return set(model.objects.all())


class TestDeleteExpired:
    def test_takes_what_ended_long_ago_with_its_attempts(self, acme, endpoint):
        sent(acme, OLD)
        delivered(endpoint, OLD)
        kept_mail, kept = sent(acme, LIMIT), delivered(endpoint, LIMIT)

        assert retention.delete_expired(now=NOW) == 2

        assert left(Notification) == {kept_mail}
        assert left(WebhookDelivery) == {kept}
        assert [row.delivery_id for row in DeliveryAttempt.objects.all()] == [kept.pk]
        assert WebhookEndpoint.objects.exists()

    def test_leaves_what_is_on_its_way_however_old(self, acme, endpoint):
        mail, delivery = make_mail(acme), make_delivery(endpoint)
        long_ago = OLD - timedelta(days=1_000)
        Notification.objects.update(created_at=long_ago)
        WebhookDelivery.objects.update(created_at=long_ago)

        assert retention.delete_expired(now=NOW) == 0
        assert (anew(mail).status, anew(delivery).status) == ("queued", "queued")

    def test_leaves_what_is_sent_again(self, acme, endpoint):
        mail, delivery = sent(acme, OLD), delivered(endpoint, OLD)
        mails.resend_mail(tenant_id=None, notification_id=mail.pk, by="ann")
        deliveries.resend_delivery(tenant_id=None, delivery_id=delivery.pk, by="ann")
        assert retention.delete_expired(now=NOW) == 0

    def test_leaves_what_is_sent_again_at_this_very_moment(self, endpoint):
        delivery = delivered(endpoint, OLD)

        def resend():
            deliveries.resend_delivery(tenant_id=None, delivery_id=delivery.pk, by="ann")

        with meanwhile(resend):
            assert retention.delete_expired(now=NOW) == 0
        assert attempt(delivery) == "acknowledged"

    def test_leaves_the_job_that_it_was(self, acme):
        sent(acme, OLD)
        retention.delete_expired(now=NOW)
        assert Job.objects.get().state == "succeeded"

    def test_works_in_batches(self, endpoint, monkeypatch):
        monkeypatch.setattr(retention, "BATCH_DELIVERIES", 2)
        for _ in range(5):
            delivered(endpoint, OLD)
        assert retention.delete_expired(now=NOW) == 5
        assert (WebhookDelivery.objects.count(), DeliveryAttempt.objects.count()) == (0, 0)

    def test_is_a_part_of_the_night(self, acme):
        sent(acme, OLD)
        assert run_part(delete_expired, at=NOW).state == "succeeded"
        assert not Notification.objects.exists()


class TestTheJobsOwnCleanUp:
    def test_leaves_mails_and_deliveries_which_keep_their_numbers(self, acme, endpoint):
        mail, delivery = sent(acme, NOW), delivered(endpoint, NOW)
        Job.objects.update(settled_at=OLD)

        assert delete_settled_jobs(now=NOW) == 2

        assert (anew(mail).job_id, anew(delivery).job_id) == (None, None)
        assert (anew(mail).attempts, anew(delivery).attempts) == (1, 1)

"""Endpoints that are given up: after how much, who is told, and what becomes of the rest."""

from datetime import timedelta

import pytest
from django.db.models import F
from django.utils import timezone

from jobs.models import Job
from jobs.testing import run_enqueued_jobs
from notifications.models import Notification, WebhookDelivery, WebhookEndpoint
from notifications.operations import breaker, deliveries, endpoints, giving_up, preferences
from project.accounts.models import Membership
from tests.announcements import ANNOUNCE, mailed
from tests.deliveries import at_once
from tests.outgoing import (
    anew,
    attempt,
    history,
    let_breaker_rest,
    make_delivery,
    make_endpoint,
    trust_loopback,
)
from tests.people import make_member
from tests.webhook_receiver import webhook_receiver

pytestmark = pytest.mark.django_db(transaction=True)

DAYS = 5
ATTEMPTS = 4  #: Of a delivery.
WHY = f"every attempt failed for {DAYS} days"
SUBJECT = "A webhook endpoint that you made was disabled"


@pytest.fixture(autouse=True)
def limits(settings):
    trust_loopback(settings)
    settings.NOTIFICATIONS_DISABLE_AFTER_DAYS = DAYS
    settings.NOTIFICATIONS_BREAKER_FAILURES = 5


@pytest.fixture
def receiver():
    with webhook_receiver(default=500) as receiver:
        yield receiver


@pytest.fixture
def ann(acme):
    return make_member(acme)


@pytest.fixture
def endpoint(acme, ann, receiver):
    return make_endpoint(acme, receiver.url, created_by=ann)


def fail(endpoint, delivery):
    """Make one attempt, as soon as the breaker lets it."""
    let_breaker_rest(endpoint)
    return attempt(delivery)


def fail_to_the_end(endpoint):
    """Let a delivery spend its attempts, or find the endpoint disabled before."""
    delivery = make_delivery(endpoint)
    for _ in range(ATTEMPTS):
        if anew(endpoint).enabled:
            fail(endpoint, delivery)
    return delivery


def let_days_pass(days):
    WebhookEndpoint.objects.update(failing_since=F("failing_since") - timedelta(days=days))


def fail_for_days(endpoint):
    """Let the next failure be the one too many, as if so many had come before."""
    before = timezone.now() - timedelta(days=DAYS + 1)
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
        failing_since=before, failures_in_a_row=100, openings=DAYS * ATTEMPTS
    )


class TestFailures:
    def test_are_counted_from_the_first_until_a_success(self, receiver, endpoint):
        receiver.answers = [500, 500, 200]
        delivery = make_delivery(endpoint)
        attempt(delivery)
        first = anew(endpoint).failing_since
        attempt(delivery)
        assert first
        assert anew(endpoint).failing_since == first
        attempt(delivery)
        assert anew(endpoint).failing_since is None

    def test_are_too_few_where_two_have_quiet_days_between_them(self, endpoint):
        fail(endpoint, make_delivery(endpoint))
        let_days_pass(DAYS + 1)
        delivery = make_delivery(endpoint)

        assert fail(endpoint, delivery) == "acknowledged: retried"

        assert anew(endpoint).enabled
        assert anew(delivery).status == "processing"

    def test_are_too_few_where_many_of_an_hour_have_quiet_days_behind_them(self, endpoint):
        for _ in range(2):  # Deliveries to the end, at once: the breaker opens four times.
            fail_to_the_end(endpoint)
        let_days_pass(DAYS + 1)
        delivery = make_delivery(endpoint)

        assert fail(endpoint, delivery) == "acknowledged: retried"
        assert anew(endpoint).enabled

    def test_of_a_delivery_a_week_are_enough_in_the_sixth(self, endpoint):
        weeks = []
        while anew(endpoint).enabled:
            weeks.append(fail_to_the_end(endpoint))
            let_days_pass(7)

        assert len(weeks) == DAYS + 1
        assert {anew(each).status for each in weeks} == {"failed"}
        assert [len(history(each)) for each in weeks] == [ATTEMPTS] * len(weeks)
        assert anew(endpoint).disabled_reason == WHY

    def test_as_many_as_can_be_are_too_few_before_their_days(self, endpoint):
        WebhookEndpoint.objects.update(
            failing_since=timezone.now() - timedelta(days=DAYS - 1), openings=1_000
        )
        assert fail(endpoint, make_delivery(endpoint)) == "acknowledged: retried"

    def test_are_forgotten_once_it_is_enabled(self, endpoint):
        fail_for_days(endpoint)
        fail(endpoint, make_delivery(endpoint))
        endpoints.update_endpoint(tenant_id=None, endpoint_id=endpoint.pk, enabled=True)
        assert not breaker.has_failed_for_days(endpoint.pk)
        assert fail(endpoint, make_delivery(endpoint)) == "acknowledged: retried"


class TestTheDeliveryThatFindsIt:
    def test_fails_with_its_own_error_and_can_be_sent_again(self, receiver, endpoint):
        fail_for_days(endpoint)
        finder, waits = make_delivery(endpoint), make_delivery(endpoint)

        assert fail(endpoint, finder) == "rejected: EndpointHopeless"

        run_enqueued_jobs()
        assert (anew(finder).status, anew(waits).status) == ("failed", "cancelled")
        assert "The receiver answered 500. Its endpoint is disabled now: " in anew(finder).error
        assert history(finder)[0].error == "The receiver answered 500."

        receiver.default = 200
        endpoints.update_endpoint(tenant_id=None, endpoint_id=endpoint.pk, enabled=True)
        for each in (finder, waits):
            deliveries.resend_delivery(tenant_id=None, delivery_id=each.pk, by="ann")
        run_enqueued_jobs()
        assert set(WebhookDelivery.objects.values_list("status", flat=True)) == {"delivered"}


class TestItsCreator:
    @pytest.mark.parametrize("gone", [True, False])
    def test_is_mailed_once_why(self, receiver, endpoint, ann, gone):
        receiver.default = 410 if gone else 500
        if not gone:
            fail_for_days(endpoint)
        WebhookEndpoint.objects.update(description="<b>Hub</b>", url=receiver.url + "?key=s3same")
        fail(endpoint, make_delivery(endpoint))

        assert mailed() == [(ann.email, SUBJECT)]
        mail = Notification.objects.get()
        html = mail.html.get_secret_value()
        assert (mail.tenant_id, mail.requested_by_id) == (endpoint.tenant_id, ann.pk)
        assert ("the receiver answered 410 Gone" if gone else WHY) in html
        assert "&lt;b&gt;Hub&lt;/b&gt; (127.0.0.1:" in html
        assert "s3same" not in html

    def test_is_told_once_by_two_that_find_it_at_once(self, endpoint, ann):
        at_once(*[lambda: giving_up.give_up(endpoint, "the receiver answered 410 Gone")] * 4)
        assert mailed() == [(ann.email, SUBJECT)]

    def test_is_told_of_nothing_that_somebody_did(self, endpoint):
        endpoints.update_endpoint(tenant_id=None, endpoint_id=endpoint.pk, enabled=False)
        assert mailed() == []

    @pytest.mark.parametrize(
        "leave",
        [
            lambda ann: ann.delete(),
            lambda ann: type(ann).objects.update(is_active=False),
            lambda ann: Membership.objects.all().delete(),
            lambda ann: type(ann).objects.update(email="none"),
            lambda ann: preferences.set_preferences(ann.pk, {"endpoint.disabled": False}),
        ],
        ids=["deleted", "locked out", "no member", "no address", "not wanted"],
    )
    def test_who_can_not_be_told_keeps_it_from_nothing(self, receiver, endpoint, ann, leave):
        receiver.default = 410
        leave(ann)
        assert attempt(make_delivery(endpoint)) == "rejected: EndpointGone"
        assert (anew(endpoint).enabled, mailed()) == (False, [])

    def test_is_told_by_no_event_that_another_endpoint_could_fail_of(
        self, acme, receiver, endpoint
    ):
        receiver.default = 410
        other = make_endpoint(acme, receiver.url)
        attempt(make_delivery(endpoint))
        run_enqueued_jobs()
        assert not Job.objects.filter(type=ANNOUNCE).exists()
        assert not WebhookDelivery.objects.filter(endpoint=other.pk).exists()

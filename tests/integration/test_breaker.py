"""An endpoint's breaker: when it opens, whom it holds back, and who tries whether it works."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.database_clock import database_now
from jobs.errors import NotNow
from jobs.models import PartitionHold
from jobs.testing import run_enqueued_jobs
from notifications.models import WebhookEndpoint
from notifications.operations import breaker, endpoints
from tests.deliveries import at_once, deliver
from tests.drills import make_job, take
from tests.outgoing import (
    NOWHERE,
    anew,
    attempt,
    attempt_often,
    is_held,
    job_of,
    let_breaker_rest,
    make_delivery,
    make_endpoint,
    take_only,
    trust_loopback,
)
from tests.people import make_tenant
from tests.webhook_receiver import webhook_receiver

pytestmark = pytest.mark.django_db(transaction=True)

THRESHOLD, SECONDS, MOST = 3, 60, 150


@pytest.fixture(autouse=True)
def small_breaker(settings):
    trust_loopback(settings)
    settings.NOTIFICATIONS_BREAKER_FAILURES = THRESHOLD
    settings.NOTIFICATIONS_BREAKER_SECONDS = SECONDS
    settings.NOTIFICATIONS_BREAKER_MAX_SECONDS = MOST


@pytest.fixture
def receiver():
    with webhook_receiver(default=500) as receiver:
        yield receiver


@pytest.fixture
def acme():
    return make_tenant("acme")


@pytest.fixture
def endpoint(acme, receiver):
    return make_endpoint(acme, receiver.url)


def open_breaker(endpoint):
    """Let as many attempts fail as it takes; return the delivery that they were of."""
    delivery = make_delivery(endpoint)
    attempt_often(delivery, THRESHOLD)
    return delivery


def columns(endpoint):
    now = anew(endpoint)
    return now.failures_in_a_row, now.openings, now.open_until


def open_seconds(endpoint):
    return (anew(endpoint).open_until - timezone.now()).total_seconds()


def due_now(*deliveries):
    return {each.id for each in take()} & {str(each.job_id) for each in deliveries}


class TestClosed:
    def test_counts_failures_in_a_row(self, receiver, endpoint):
        attempt_often(make_delivery(endpoint), THRESHOLD - 1)
        assert columns(endpoint) == (THRESHOLD - 1, 0, None)
        assert not is_held(endpoint)

    def test_forgets_them_at_a_success(self, receiver, endpoint):
        delivery = make_delivery(endpoint)
        attempt_often(delivery, THRESHOLD - 1)
        receiver.default = 200
        attempt(delivery)
        assert columns(endpoint) == (0, 0, None)

    def test_counts_failures_of_several_deliveries_together(self, receiver, endpoint):
        for _ in range(THRESHOLD):
            attempt(make_delivery(endpoint))
        assert is_held(endpoint)


class TestOpening:
    def test_comes_with_the_last_failure_that_was_allowed(self, receiver, endpoint):
        open_breaker(endpoint)
        assert columns(endpoint)[:2] == (THRESHOLD, 1)
        assert abs(open_seconds(endpoint) - SECONDS) < 10

    def test_holds_its_partition_and_no_other(self, acme, receiver, endpoint):
        open_breaker(endpoint)
        held = make_delivery(endpoint)
        other = make_delivery(make_endpoint(acme, receiver.url))
        plain = make_job()

        taken = {message.id for message in take()}

        assert taken == {str(other.job_id), str(plain.pk)}
        assert job_of(held).state == "waiting"

    def test_is_done_once_by_failures_at_the_same_moment(self, endpoint):
        WebhookEndpoint.objects.update(failures_in_a_row=THRESHOLD - 1)

        at_once(*[lambda: breaker.count_failure(endpoint.pk, probe=None)] * 4)

        assert columns(endpoint)[:2] == (THRESHOLD + 3, 1)
        assert PartitionHold.objects.count() == 1

    def test_is_done_once_by_deliveries_that_fail_at_the_same_moment(self, receiver, endpoint):
        WebhookEndpoint.objects.update(failures_in_a_row=THRESHOLD - 1)
        rows = [make_delivery(endpoint) for _ in range(2)]
        messages = take()
        assert len(messages) == len(rows)

        answers = at_once(*[lambda message=message: deliver(message) for message in messages])

        assert set(answers) == {"acknowledged: retried"}
        assert columns(endpoint)[:2] == (THRESHOLD + 1, 1)

    def test_is_not_undone_by_a_failure_that_comes_later(self, endpoint):
        open_breaker(endpoint)
        before = columns(endpoint)
        breaker.count_failure(endpoint.pk, probe=None)
        assert columns(endpoint) == (before[0] + 1, *before[1:])


class TestOpen:
    def test_puts_back_what_was_taken_before_unspent(self, receiver, endpoint):
        waiting = make_delivery(endpoint)
        message = take_only(job_of(waiting))
        open_breaker(endpoint)
        sent, before = len(receiver.requests), database_now()

        assert deliver(message) == "acknowledged: ignored"

        job = job_of(waiting)
        assert (job.state, job.failures, job.losses) == ("waiting", 0, 0)
        assert job.run_at >= anew(endpoint).open_until - timedelta(seconds=1) > before
        assert len(receiver.requests) == sent
        assert (anew(waiting).status, anew(waiting).attempts_started) == ("queued", 0)
        assert not job.history.exists()

    def test_is_closed_by_the_success_of_an_attempt_that_had_begun(self, acme, receiver):
        # Given an attempt that hangs while others open the breaker
        with webhook_receiver(default="hang") as slow:
            endpoint = make_endpoint(acme, slow.url)
            late = make_delivery(endpoint)
            message = take_only(job_of(late))

            def open_meanwhile():
                while not slow.requests:
                    pass
                for _ in range(THRESHOLD):
                    breaker.count_failure(endpoint.pk, probe=None)
                was_held = is_held(endpoint)
                breaker.count_success(endpoint.pk)
                slow.release()
                return was_held

            _, was_held = at_once(lambda: deliver(message), open_meanwhile)

        # Then its success closes it
        assert was_held
        assert not is_held(endpoint)

    def test_is_closed_by_an_endpoints_other_url(self, endpoint):
        open_breaker(endpoint)
        held = make_delivery(endpoint)
        endpoints.update_endpoint(
            tenant_id=endpoint.tenant_id, endpoint_id=endpoint.pk, url=NOWHERE
        )
        assert columns(endpoint) == (0, 0, None)
        assert due_now(held)

    def test_is_left_as_it_is_by_the_same_url(self, endpoint):
        open_breaker(endpoint)
        before = columns(endpoint)
        endpoints.update_endpoint(
            tenant_id=endpoint.tenant_id, endpoint_id=endpoint.pk, url=endpoint.url, description="x"
        )
        assert columns(endpoint) == before
        assert is_held(endpoint)

    def test_lets_go_of_what_waits_when_its_endpoint_is_disabled(self, endpoint):
        open_breaker(endpoint)
        held = make_delivery(endpoint)
        endpoints.disable_endpoint(endpoint.pk, "by hand")
        run_enqueued_jobs()
        assert (columns(endpoint), anew(held).status) == ((0, 0, None), "cancelled")

    def test_lets_go_of_what_waits_when_its_endpoint_is_deleted(self, endpoint):
        open_breaker(endpoint)
        job = job_of(make_delivery(endpoint))
        endpoints.delete_endpoint(tenant_id=endpoint.tenant_id, endpoint_id=endpoint.pk)
        assert not PartitionHold.objects.exists()
        run_enqueued_jobs()
        job.refresh_from_db()
        assert job.state == "cancelled"


class TestHalfOpen:
    def test_lets_one_of_several_try(self, receiver, endpoint):
        open_breaker(endpoint)
        let_breaker_rest(endpoint)
        before = WebhookEndpoint.objects.get()

        results = at_once(*[lambda: breaker.take_turn(before)] * 6)

        refused = [each for each in results if isinstance(each, NotNow)]
        [probe] = [each for each in results if not isinstance(each, Exception)]
        assert len(refused) == 5
        assert anew(endpoint).open_until == probe
        assert is_held(endpoint)

    def test_sends_one_of_the_deliveries_that_come_together(self, receiver, endpoint):
        rows = [make_delivery(endpoint) for _ in range(2)]
        messages = take()
        assert {message.id for message in messages} == {str(row.job_id) for row in rows}
        for _ in range(THRESHOLD):
            breaker.count_failure(endpoint.pk, probe=None)
        let_breaker_rest(endpoint)

        answers = at_once(*[lambda message=message: deliver(message) for message in messages])

        assert sorted(answers) == ["acknowledged: ignored", "acknowledged: retried"]
        assert len(receiver.requests) == 1

    def test_is_closed_by_a_success_which_releases_the_rest(self, receiver, endpoint):
        tries, rest = open_breaker(endpoint), make_delivery(endpoint)
        let_breaker_rest(endpoint)
        receiver.default = 200

        attempt(tries)

        assert columns(endpoint) == (0, 0, None)
        assert not PartitionHold.objects.exists()
        assert due_now(rest)

    def test_is_opened_for_twice_as_long_by_a_failure_up_to_a_limit(self, receiver, endpoint):
        open_breaker(endpoint)
        for seconds in (2 * SECONDS, MOST, MOST):
            let_breaker_rest(endpoint)
            attempt(make_delivery(endpoint))
            assert abs(open_seconds(endpoint) - seconds) < 10
            assert is_held(endpoint)
        assert columns(endpoint)[1] == 4

    def test_begins_again_with_the_first_wait_after_a_success(self, receiver, endpoint):
        open_breaker(endpoint)
        let_breaker_rest(endpoint)
        receiver.answers = [200]
        attempt(make_delivery(endpoint))
        open_breaker(endpoint)
        assert abs(open_seconds(endpoint) - SECONDS) < 10

    def test_lets_another_try_when_the_one_that_tried_was_never_heard_of(self, receiver, endpoint):
        open_breaker(endpoint)
        let_breaker_rest(endpoint)
        lost = breaker.take_turn(anew(endpoint))
        let_breaker_rest(endpoint)
        probe = breaker.take_turn(anew(endpoint))

        # And the lost one's failure, should it come after all, opens nothing
        breaker.count_failure(endpoint.pk, probe=lost)
        assert columns(endpoint)[1:] == (1, probe)

    def test_waits_as_long_as_an_attempt_may_take(self, settings, endpoint):
        settings.NOTIFICATIONS_DELIVERY_SECONDS = 40
        open_breaker(endpoint)
        let_breaker_rest(endpoint)
        breaker.take_turn(anew(endpoint))
        assert 40 < open_seconds(endpoint) < 60


class TestAnEndpoint:
    def test_that_is_enabled_again_is_not_held_by_what_failed_meanwhile(self, receiver, endpoint):
        # Given an attempt under way that fails after its endpoint was disabled
        endpoints.disable_endpoint(endpoint.pk, "by hand")
        for _ in range(THRESHOLD):
            breaker.count_failure(endpoint.pk, probe=None)

        endpoints.update_endpoint(
            tenant_id=endpoint.tenant_id, endpoint_id=endpoint.pk, enabled=True
        )

        assert columns(endpoint) == (0, 0, None)
        assert due_now(make_delivery(endpoint))

    def test_that_is_deleted_while_its_deliveries_fail_ends_without_a_deadlock(
        self, acme, receiver, settings
    ):
        settings.NOTIFICATIONS_BREAKER_FAILURES = 1
        for _ in range(5):
            endpoint = make_endpoint(acme, receiver.url)
            for _ in range(2):
                make_delivery(endpoint)
            messages = take()

            def delete(endpoint=endpoint):
                endpoints.delete_endpoint(tenant_id=acme.pk, endpoint_id=endpoint.pk)

            results = at_once(
                *[lambda message=message: deliver(message) for message in messages], delete
            )

            assert results[-1] is None
            assert not PartitionHold.objects.exists()
            assert not WebhookEndpoint.objects.exists()

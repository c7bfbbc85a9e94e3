"""An endpoint's breaker: when it opens, whom it holds back, and who tries whether it works."""

import pytest

from jobs.database_clock import database_now
from jobs.models import PartitionHold
from jobs.testing import run_enqueued_jobs
from notifications.models import WebhookEndpoint
from notifications.operations import breaker, endpoints
from tests.breakers import (
    SECONDS,
    THRESHOLD,
    columns,
    due_now,
    make_breakers_small,
    open_breaker,
    open_seconds,
)
from tests.deliveries import at_once, deliver
from tests.drills import make_due, make_job, take
from tests.harness.waiting import wait_for
from tests.outgoing import (
    NOWHERE,
    anew,
    attempt,
    attempt_often,
    is_held,
    job_of,
    make_delivery,
    make_endpoint,
    take_only,
)
from tests.webhook_receiver import webhook_receiver

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def small_breaker(settings):
    make_breakers_small(settings)


@pytest.fixture
def receiver():
    with webhook_receiver(default=500) as receiver:
        yield receiver


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
        # Given two deliveries whose receiver hangs, until it breaks both off
        receiver.default = "hang"
        WebhookEndpoint.objects.update(failures_in_a_row=THRESHOLD - 1)
        for _ in range(2):
            make_delivery(endpoint)
        messages = take()

        def break_off():
            wait_for(lambda: len(receiver.requests) == 2, 60, "both requests came")
            receiver.release()

        *answers, _ = at_once(
            *[lambda message=message: deliver(message) for message in messages], break_off
        )

        assert answers == ["acknowledged: retried"] * 2
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
        assert job.run_at > before
        make_due(job)
        assert take() == []  # Its partition is held.
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
                wait_for(lambda: bool(slow.requests), 60, "the request came")
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

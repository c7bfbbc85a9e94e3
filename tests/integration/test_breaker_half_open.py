"""A breaker whose time is over: who tries whether the endpoint works, and what that changes."""

import pytest

from jobs.errors import NotNow
from jobs.models import PartitionHold
from notifications.models import WebhookEndpoint
from notifications.operations import breaker, endpoints
from tests.breakers import (
    MOST,
    SECONDS,
    THRESHOLD,
    columns,
    due_now,
    make_breakers_small,
    open_breaker,
    open_seconds,
)
from tests.deliveries import at_once, deliver
from tests.drills import take
from tests.outgoing import anew, attempt, is_held, let_breaker_rest, make_delivery, make_endpoint
from tests.webhook_receiver import webhook_receiver

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def small_breaker(settings):
    make_breakers_small(settings)


@pytest.fixture
def receiver():
    with webhook_receiver(default=500) as receiver:
        yield receiver


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

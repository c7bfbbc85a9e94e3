"""No tenant holds all workers with its deliveries."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.engine import lifecycle
from jobs.errors import NotNow
from jobs.models import Job
from notifications.operations import attempts, breaker
from notifications.payloads import DeliveryPayload
from tests.deliveries import at_once, deliver
from tests.drills import fresh, take
from tests.harness.waiting import wait_for
from tests.outgoing import anew, attempt, job_of, make_delivery, make_endpoint, trust_loopback
from tests.people import make_tenant
from tests.webhook_receiver import webhook_receiver

pytestmark = pytest.mark.django_db(transaction=True)

SHARE = 2


@pytest.fixture(autouse=True)
def small_share(settings):
    trust_loopback(settings)
    settings.NOTIFICATIONS_TENANT_IN_FLIGHT_MAX = SHARE
    settings.NOTIFICATIONS_BREAKER_FAILURES = 1_000


@pytest.fixture
def receiver():
    with webhook_receiver() as receiver:
        yield receiver


@pytest.fixture
def endpoint(acme, receiver):
    return make_endpoint(acme, receiver.url)


def begin(job):
    """Begin an attempt of a job that is claimed; say whether it may go."""
    payload = DeliveryPayload.model_validate(fresh(job).payload)
    try:
        with job.fence():
            return attempts.begin(job, payload) is not None
    except NotNow:
        return False


def claim_all(tenant, receiver, count):
    """Let workers have claimed a delivery of each of so many endpoints, at the same moment."""
    for _ in range(count):
        make_delivery(make_endpoint(tenant, receiver.url))
    claimed = []
    for message in take():
        job = lifecycle.claim(Job(pk=message.id).pk, message.dispatch or 0, worker="drill@here")
        assert job
        claimed.append(job)
    return claimed


class TestATenantsShare:
    def test_goes_to_those_that_came_first_when_more_begin_at_once(self, acme, receiver):
        jobs = claim_all(acme, receiver, 6)
        assert [begin(job) for job in jobs] == [True] * SHARE + [False] * 4

    def test_is_no_other_tenants(self, acme, receiver):
        assert [begin(job) for job in claim_all(acme, receiver, SHARE)] == [True] * SHARE
        other = claim_all(make_tenant("other"), receiver, SHARE)
        assert [begin(job) for job in other] == [True] * SHARE

    def test_puts_back_what_is_over_it_for_a_moment_unspent(self, acme, receiver):
        for job in claim_all(acme, receiver, SHARE):
            assert begin(job)
        waits = make_delivery(make_endpoint(acme, receiver.url))

        assert attempt(waits) == "acknowledged: ignored"

        job = job_of(waits)
        assert (job.state, job.failures, anew(waits).attempts_started) == ("waiting", 0, 0)
        assert job.run_at < timezone.now() + timedelta(seconds=30)
        assert receiver.requests == []

    def test_is_used_and_leaves_room_when_many_begin_at_once(self, acme):
        # How many go is a matter of microseconds: a claim may be seen later than it was made
        with webhook_receiver(default="hang") as slow:
            for _ in range(5):
                make_delivery(make_endpoint(acme, slow.url))
            messages = take()

            def watch():
                wait_for(lambda: len(slow.requests) + waiting() == 5, 60, "all had their turn")
                sent = len(slow.requests)
                slow.release()
                return sent

            *_, sent = at_once(
                *[lambda message=message: deliver(message) for message in messages], watch
            )
        assert SHARE <= sent < 5


def waiting():
    return Job.objects.filter(type=breaker.SYNC, state="waiting").count()

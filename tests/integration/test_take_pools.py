"""The relay takes no more of a pool than it may have in flight, whatever its partitions may."""

from collections import Counter

import pytest

from jobs import enqueue, enqueue_many
from jobs.models import Job
from tests.deliveries import at_once
from tests.drills import ACME, GLOBEX, make_job, run_atomic, run_singly, take
from tests.people import make_tenant

pytestmark = pytest.mark.django_db(transaction=True)

MOST = 4


@pytest.fixture(autouse=True)
def limit(settings):
    settings.JOBS_POOL_IN_FLIGHT_MAX = {"jobs": MOST}


def store(count, tenant):
    return enqueue_many(run_atomic, [{}] * count, tenant_id=tenant)


def tenants(messages):
    return Counter(message.headers["tenant_id"] for message in messages)


def settle(messages):
    Job.objects.filter(pk__in=[message.id for message in messages]).update(state="succeeded")


class TestAPool:
    def test_may_be_one_partitions_alone(self):
        store(10, ACME)
        assert len(take()) == MOST
        assert take() == []

    def test_is_shared_by_partitions_that_wait_for_it(self):
        store(10, ACME)
        store(10, GLOBEX)
        assert set(tenants(take()).values()) == {MOST // 2}

    def test_gives_what_is_freed_to_those_with_the_fewest_in_flight(self):
        # Given a tenant that had it all, and a backlog
        store(1_000, ACME)
        first = take()
        store(2, GLOBEX)

        # When a slot is free, then it is the other's
        settle(first[:1])
        [message] = take()
        assert message.headers["tenant_id"] == str(GLOBEX)

    def test_is_not_the_limit_of_others(self):
        store(10, ACME)
        other = enqueue(run_singly, {}, tenant_id=ACME)
        assert len(take()) == MOST + 1
        assert Job.objects.get(pk=other.pk).state == "queued"

    def test_that_is_full_takes_no_share_of_the_batch_from_others(self, settings):
        # Given a pool that is full, with more tenants that wait for it than a batch has jobs
        settings.JOBS_POOL_IN_FLIGHT_MAX = {run_singly.name: 1}
        make_job(run_singly, state="running")
        for number in range(30):
            enqueue(run_singly, {}, tenant_id=make_tenant(f"tenant-{number}").pk)
        store(40, ACME)

        # Then another pool's tenant gets all of it
        assert len(take(20)) == 20

    def test_counts_what_runs(self):
        make_job(state="running")
        store(10, ACME)
        assert len(take()) == MOST - 1

    def test_that_has_more_in_flight_than_it_may_takes_none(self):
        for _ in range(MOST + 2):
            make_job(state="running")
        store(10, GLOBEX)
        assert take() == []

    def test_is_never_exceeded_by_many_relays_at_once(self):
        for number in range(5):
            store(20, make_tenant(f"tenant-{number}").pk)
        for _ in range(5):
            taken = [each for batch in at_once(*[lambda: take(10)] * 4) for each in batch]
            assert len(taken) == MOST
            settle(taken)

    def test_without_a_limit_has_none(self, settings):
        settings.JOBS_POOL_IN_FLIGHT_MAX = {}
        store(10, ACME)
        assert len(take()) == 10

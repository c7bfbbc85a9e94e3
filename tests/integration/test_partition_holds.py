"""A partition that is held: the relay takes none of its jobs, and sleeps until it may."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from jobs import enqueue
from jobs.engine import relay
from jobs.holds import REASON_MAX_CHARACTERS, hold_partition, release_partition
from jobs.models import Job, PartitionHold
from jobs.operations import cancel_job
from tests.deliveries import at_once, deliver
from tests.drills import ACME, GLOBEX, fresh, run_atomic, take

pytestmark = pytest.mark.django_db(transaction=True)

HELD = f"jobs/{ACME}"


def store(tenant=ACME, **options):
    return enqueue(run_atomic, {}, tenant_id=tenant, **options)


def taken():
    return {message.id for message in take()}


def let_hold_end():
    PartitionHold.objects.update(until=timezone.now() - timedelta(milliseconds=1))


class TestAHold:
    def test_keeps_its_jobs_back_and_no_others(self):
        held, free = store(), store(GLOBEX)
        hold_partition(HELD, seconds=60, reason="down")
        assert taken() == {str(free.pk)}
        assert (fresh(held).state, fresh(held).dispatch) == ("waiting", 0)

    def test_keeps_back_what_retries(self):
        job = store()
        Job.objects.filter(pk=job.pk).update(state="retrying")
        hold_partition(HELD, seconds=60)
        assert taken() == set()

    def test_ends_by_itself(self):
        job = store()
        hold_partition(HELD, seconds=60)
        let_hold_end()
        assert taken() == {str(job.pk)}

    def test_ends_when_it_is_released(self):
        job = store()
        hold_partition(HELD, seconds=60)
        release_partition(HELD)
        release_partition(HELD)
        assert taken() == {str(job.pk)}

    def test_is_replaced_by_the_next(self):
        hold_partition(HELD, seconds=3_600, reason="first")
        hold_partition(HELD, seconds=1, reason="x" * 300)
        hold = PartitionHold.objects.get()
        assert hold.until < timezone.now() + timedelta(minutes=1)
        assert hold.reason == "x" * REASON_MAX_CHARACTERS

    def test_stops_nothing_that_was_handed_over(self):
        job = store()
        [message] = take()
        hold_partition(HELD, seconds=60)
        assert deliver(message) == "acknowledged"
        assert fresh(job).state == "succeeded"

    def test_lets_its_jobs_be_cancelled(self):
        job = store()
        hold_partition(HELD, seconds=60)
        cancel_job(job_id=job.pk, by="ann")
        assert fresh(job).state == "cancelled"

    def test_that_rolls_back_never_was(self):
        def hold_and_crash():
            with transaction.atomic():
                hold_partition(HELD, seconds=60)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            hold_and_crash()
        job = store()
        assert taken() == {str(job.pk)}

    def test_is_one_row_whoever_sets_it_at_the_same_moment(self):
        results = at_once(*[lambda: hold_partition(HELD, seconds=60)] * 5)
        assert results == [None] * 5
        assert PartitionHold.objects.count() == 1

    def test_leaves_the_order_of_its_jobs(self):
        jobs = [store() for _ in range(3)]
        hold_partition(HELD, seconds=60)
        assert taken() == set()
        release_partition(HELD)
        assert [message.id for message in take(2)] == [str(job.pk) for job in jobs[:2]]


class TestTheRelaysSleep:
    @pytest.fixture(autouse=True)
    def long_poll(self, settings):
        settings.JOBS_RELAY_POLL_SECONDS = 3_600

    def test_lasts_until_the_hold_ends(self):
        store()
        hold_partition(HELD, seconds=600)
        assert relay.seconds_until_due() == pytest.approx(600, abs=60)

    def test_lasts_until_a_job_is_due_that_is_later_than_the_hold(self):
        store(run_at=timezone.now() + timedelta(minutes=20))
        hold_partition(HELD, seconds=600)
        assert relay.seconds_until_due() == pytest.approx(1_200, abs=60)

    def test_is_no_longer_for_another_partitions_hold(self):
        store(run_at=timezone.now() + timedelta(minutes=5))
        store(GLOBEX)
        hold_partition(f"jobs/{GLOBEX}", seconds=600)
        assert relay.seconds_until_due() == pytest.approx(300, abs=60)

    def test_ends_at_once_when_the_hold_is_over(self):
        store()
        hold_partition(HELD, seconds=600)
        let_hold_end()
        assert relay.seconds_until_due() == relay.HELD_BACK_SECONDS

    def test_is_the_poll_where_only_a_hold_is_left(self):
        hold_partition(HELD, seconds=1)
        assert relay.seconds_until_due() == 3_600

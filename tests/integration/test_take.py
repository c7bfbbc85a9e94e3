"""The relay takes what is due: fair between partitions, bounded, past locks, and cheaply."""

import json
import threading
from collections import Counter
from datetime import timedelta

import pytest
from django.conf import settings as django_settings
from django.db import Error, connection, transaction
from django.utils import timezone

from jobs import enqueue, enqueue_many, registry
from jobs.engine import lifecycle, relay, statements
from jobs.engine.publisher import Unconfirmed
from jobs.errors import MoveRefused
from jobs.models import Job
from jobs.states import JobState
from tests.deliveries import Recorder, at_once, deliver
from tests.drills import (
    ACME,
    GLOBEX,
    fresh,
    make_job,
    run_atomic,
    run_singly,
    store_backlog,
    take,
)

pytestmark = pytest.mark.django_db(transaction=True)


def store(count, tenant, task=run_atomic):
    return enqueue_many(task, [{}] * count, tenant_id=tenant)


def tenants(messages):
    return [{str(ACME): "acme", str(GLOBEX): "globex"}[m.headers["tenant_id"]] for m in messages]


def take_during(act):
    """Take while a transaction that has acted stays open; return what became of act and take."""
    acted, taken = threading.Event(), threading.Event()

    def stay_open():
        with transaction.atomic():
            act()
            acted.set()
            taken.wait(60)

    def take_meanwhile():
        acted.wait(60)
        try:
            return take()
        finally:
            taken.set()

    return at_once(stay_open, take_meanwhile)


def in_flight():
    return Job.objects.filter(state__in=["queued", "running"]).count()


class TestTake:
    def test_hands_each_job_over_with_a_new_dispatch(self):
        job = make_job(dispatch=4, state=JobState.RETRYING)

        (message,) = take()

        now = fresh(job)
        assert (message.id, message.dispatch) == (str(job.pk), 5)
        assert (now.state, now.dispatch) == ("queued", 5)
        assert now.queued_at

    @pytest.mark.parametrize("state", ["queued", "running", "succeeded", "failed", "cancelled"])
    def test_leaves_what_does_not_wait(self, state):
        make_job(state=state)

        assert take() == []

    def test_leaves_what_is_not_due(self):
        later = enqueue(run_atomic, {}, run_at=timezone.now() + timedelta(hours=1))
        now = enqueue(run_atomic, {})

        assert [message.id for message in take()] == [str(now.pk)]
        assert fresh(later).state == "waiting"

    def test_takes_the_oldest_of_a_partition_first(self):
        jobs = [enqueue(run_atomic, {}, tenant_id=ACME) for _ in range(5)]

        assert [message.id for message in take(2)] == [str(job.pk) for job in jobs[:2]]
        assert [message.id for message in take(2)] == [str(job.pk) for job in jobs[2:4]]

    def test_takes_a_job_once_with_many_relays_at_once(self):
        store(60, ACME)

        taken = [message.id for batch in at_once(*[lambda: take(20)] * 4) for message in batch]

        assert len(taken) == len(set(taken)) == 60

    def test_keeps_the_place_of_what_could_not_be_confirmed(self):
        first, *_ = (enqueue(run_atomic, {}, tenant_id=ACME) for _ in range(3))
        (message,) = take(1)
        lifecycle.put_back(fresh(first), "not confirmed")

        assert [again.id for again in take(1)] == [message.id] == [str(first.pk)]


class TestPartitions:
    def test_take_turns(self, settings):
        store(10_000, ACME)
        store(3, GLOBEX)

        assert Counter(tenants(take(8))) == {"acme": 4, "globex": 3}
        assert "globex" not in tenants(take(8))

    def test_with_fewer_jobs_in_flight_come_first(self):
        store(6, ACME)
        store(2, GLOBEX)
        Job.objects.filter(tenant_id=ACME).update(run_at=timezone.now() - timedelta(hours=1))

        assert sorted(tenants(take(2))) == ["acme", "globex"]

    def test_are_all_reached_when_there_are_more_than_a_batch(self):
        for number in range(10):
            for _ in range(3):
                job = make_job()
                Job.objects.filter(pk=job.pk).update(partition=f"jobs/{number}")

        first = {Job.objects.get(pk=message.id).partition for message in take(6)}
        second = {Job.objects.get(pk=message.id).partition for message in take(4)}

        assert (len(first), len(first | second)) == (6, 10)

    def test_that_are_full_take_no_turn_from_others(self, settings):
        settings.JOBS_IN_FLIGHT_MAX = 2
        store(50, ACME)
        take()
        store(2, GLOBEX)

        assert tenants(take()) == ["globex", "globex"]

    def test_are_a_types_own_where_it_says_so(self):
        store(3, ACME, run_singly)
        store(3, ACME)

        types = Counter(message.headers["task"] for message in take())

        assert types == {"drills.run_singly": 1, "drills.run_atomic": 3}


class TestMaxInFlight:
    def test_bounds_a_partition_of_a_lane(self, settings):
        settings.JOBS_IN_FLIGHT_MAX = 3
        store(10, ACME)
        store(10, GLOBEX)

        assert Counter(tenants(take())) == {"acme": 3, "globex": 3}
        assert take() == []

    def test_may_differ_by_lane(self, settings):
        settings.JOBS_LANE_IN_FLIGHT_MAX = {"exports": 4}
        store(10, ACME)
        Job.objects.update(queue="exports", partition=f"exports/{ACME}")
        store(10, ACME)

        assert Counter(message.queue for message in take()) == {"exports": 4, "jobs": 10}

    @pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled", "retrying", "waiting"])
    def test_frees_a_slot_for_each_that_leaves(self, settings, state):
        settings.JOBS_IN_FLIGHT_MAX = 1
        store(2, ACME)
        (first,) = take()
        assert take() == []

        Job.objects.filter(pk=first.id).update(
            state=state, run_at=timezone.now() + timedelta(hours=1)
        )

        (second,) = take()
        assert second.id != first.id

    def test_counts_what_runs(self, settings):
        settings.JOBS_IN_FLIGHT_MAX = 2
        make_job(state=JobState.RUNNING)
        store(5, ACME)

        assert len(take()) == 1

    def test_is_never_exceeded_by_many_relays_at_once(self, settings):
        settings.JOBS_IN_FLIGHT_MAX = 7
        store(100, ACME)

        for _ in range(5):
            at_once(*[lambda: take(5)] * 4)
            assert in_flight() == 7
            done = Job.objects.filter(state="queued").values_list("pk", flat=True)[:3]
            Job.objects.filter(pk__in=list(done)).update(state="succeeded")

    def test_is_left_alone_by_jobs_that_settle_while_others_are_taken(self, settings):
        settings.JOBS_IN_FLIGHT_MAX = 4
        store(40, ACME)
        seen = []

        def work():
            for _ in range(10):
                for message in take(10):
                    deliver(message)

        def watch():
            for _ in range(50):
                seen.append(in_flight())

        at_once(work, work, watch)

        assert max(seen) <= 4


class TestALockedRow:
    def test_is_passed_by(self):
        # Given a transaction that holds one of two due jobs for as long as it likes
        held, free = (enqueue(run_atomic, {}, tenant_id=ACME) for _ in range(2))

        # When the relay takes, then it takes the other
        _, messages = take_during(lambda: Job.objects.select_for_update().get(pk=held.pk))

        assert [message.id for message in messages] == [str(free.pk)]
        assert [message.id for message in take()] == [str(held.pk)]

    def test_is_not_taken_when_it_was_cancelled_meanwhile(self):
        job = enqueue(run_atomic, {}, tenant_id=ACME)
        locked = threading.Event()

        def cancel():
            with transaction.atomic():
                lifecycle.cancel(fresh(job), by="ann")
                locked.set()

        def take_it():
            locked.wait(60)
            return take()

        at_once(cancel, take_it)

        assert fresh(job).state == "cancelled"

    def test_of_an_insert_that_is_not_committed_keeps_nobody_waiting(self):
        _, messages = take_during(lambda: enqueue(run_atomic, {}, tenant_id=ACME))

        assert messages == []
        assert len(take()) == 1


class TestARelayThatHangs:
    def test_inside_its_take_stops_no_other_for_long(self, monkeypatch):
        # Given a relay that is stopped between the lock and the commit
        monkeypatch.setattr(statements, "TAKE_IDLE_SECONDS", 1)
        enqueue(run_atomic, {}, tenant_id=ACME)

        def lock():
            with connection.cursor() as cursor:
                cursor.execute(statements.take_lock())

        # Then PostgreSQL ends its session, and the other relay takes
        hung, messages = take_during(lock)

        assert isinstance(hung, Error)
        assert len(messages) == 1


def rows_read(statement):
    """Run a statement and return how many rows of the ledger PostgreSQL looked at for it."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
        (answer,) = cursor.fetchone()
    plan = answer if isinstance(answer, list) else json.loads(answer)
    return sum(_read_by(node) for node in _nodes(plan[0]["Plan"]))


def _nodes(node):
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _read_by(node):
    if not node["Node Type"].endswith(("Scan",)) or node["Node Type"] == "CTE Scan":
        return 0
    if node.get("Relation Name", "jobs_job") != "jobs_job":
        return 0
    looked_at = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    return looked_at * node["Actual Loops"]


class TestCost:
    """With 100,000 jobs waiting, each statement of a turn looks at a few thousand rows at most."""

    BACKLOG, PARTITIONS, BATCH = 100_000, 100, 500

    def take_batch(self):
        settings = django_settings
        return statements.take(
            registry.in_flight_limits(),
            settings.JOBS_IN_FLIGHT_MAX,
            settings.JOBS_POOL_IN_FLIGHT_MAX,
            self.BATCH,
        )

    def test_of_a_turn_does_not_grow_with_the_backlog(self):
        store_backlog(self.BACKLOG, partitions=self.PARTITIONS)
        take_batch = self.take_batch()

        assert rows_read(take_batch) < 5_000  # The batch, locked and written; the partitions.
        assert rows_read(statements.seconds_until_due()) < 1_000

    def test_of_a_turn_does_not_grow_with_what_is_due_later(self):
        store_backlog(self.BACKLOG, partitions=self.PARTITIONS, due=False)
        take_batch = self.take_batch()

        assert rows_read(take_batch) < 1_000
        assert rows_read(statements.seconds_until_due()) < 1_000


class TestSecondsUntilDue:
    def test_are_those_of_the_next_job(self, settings):
        settings.JOBS_RELAY_POLL_SECONDS = 3_600
        for minutes in (30, 10, 20):
            enqueue(run_atomic, {}, run_at=timezone.now() + timedelta(minutes=minutes))

        assert relay.seconds_until_due() == pytest.approx(600, abs=60)

    def test_are_no_more_than_the_poll(self, settings):
        settings.JOBS_RELAY_POLL_SECONDS = 2
        enqueue(run_atomic, {}, run_at=timezone.now() + timedelta(hours=1))

        assert relay.seconds_until_due() == 2

    def test_are_the_poll_when_nothing_waits(self, settings):
        settings.JOBS_RELAY_POLL_SECONDS = 2
        make_job(state=JobState.RUNNING)

        assert relay.seconds_until_due() == 2

    def test_are_few_while_a_due_job_waits_for_a_slot(self):
        store(2, ACME, run_singly)
        take()

        assert relay.seconds_until_due() == relay.HELD_BACK_SECONDS


class TestRelay:
    def test_sends_what_it_takes(self):
        store(3, ACME)
        broker = Recorder()

        assert relay.relay_due_jobs(broker) == 3
        assert {message.id for message in broker.sent} == {str(job.pk) for job in Job.objects.all()}
        assert relay.relay_due_jobs(broker) == 0

    def test_touches_no_job_while_the_broker_is_away(self):
        store(3, ACME)

        with pytest.raises(Unconfirmed):
            relay.relay_due_jobs(Recorder(away=True))

        assert set(Job.objects.values_list("state", "dispatch")) == {("waiting", 0)}

    def test_puts_back_what_was_not_confirmed(self, monkeypatch):
        first, second = store(2, ACME)
        broker = Recorder()

        def confirm_one(messages):
            raise Unconfirmed(OSError("cut"), [str(second.pk)])

        monkeypatch.setattr(broker, "send", confirm_one)
        with pytest.raises(Unconfirmed):
            relay.relay_due_jobs(broker)

        assert (fresh(first).state, fresh(second).state) == ("queued", "waiting")
        assert [message.dispatch for message in take()] == [2]

    def test_leaves_what_a_worker_has_claimed_although_it_was_not_confirmed(self, monkeypatch):
        (job,) = store(1, ACME)
        broker = Recorder()

        def arrive_and_break(messages):
            deliver(messages[0])
            raise Unconfirmed(OSError("cut"), [str(job.pk)])

        monkeypatch.setattr(broker, "send", arrive_and_break)
        with pytest.raises(Unconfirmed):
            relay.relay_due_jobs(broker)

        assert (fresh(job).state, fresh(job).attempt) == ("succeeded", 1)

    def test_lets_what_was_returned_rest_a_while(self):
        (job,) = store(1, ACME)
        before = timezone.now()

        relay.relay_due_jobs(Recorder(faults={str(job.pk): "unroutable"}))

        assert fresh(job).state == "waiting"
        assert fresh(job).run_at > before + timedelta(seconds=1)

    def test_fails_what_no_queue_will_ever_take(self):
        (job,) = store(1, ACME)
        Job.objects.update(queue="nowhere")

        relay.relay_due_jobs(Recorder(faults={str(job.pk): "unroutable"}))

        assert fresh(job).state == "failed"
        assert fresh(job).error == "Unroutable: No queue is bound for lane 'nowhere'."

    def test_stands_down_where_a_job_moved_meanwhile(self, monkeypatch):
        (job,) = store(1, ACME)

        def refuse(job, *_, **__):
            raise MoveRefused(job, "waiting")

        monkeypatch.setattr(lifecycle, "put_back", refuse)

        assert relay.relay_due_jobs(Recorder(faults={str(job.pk): "nack"})) == 1

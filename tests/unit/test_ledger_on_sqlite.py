"""
The engine's statements on SQLite, where the embedded profile keeps its ledger.

A run on PostgreSQL leaves this module out; tests/integration/test_on_sqlite.py runs it then.
"""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs import enqueue, enqueue_many, operations
from jobs.engine import lifecycle, recovery, relay
from jobs.errors import KeyInUse, MoveRefused
from jobs.models import Job
from jobs.states import JobState, Outcome
from tests.deliveries import Recorder, deliver
from tests.drills import (
    ACME,
    GLOBEX,
    effects,
    fresh,
    leave_effect,
    make_due,
    make_job,
    on_postgres,
    run_atomic,
    run_freely,
    run_singly,
    script,
    take,
)

if on_postgres():
    pytest.skip("tests/integration/test_on_sqlite.py runs it", allow_module_level=True)

pytestmark = pytest.mark.django_db


@pytest.fixture
def does(monkeypatch):
    return lambda run: monkeypatch.setattr(script, "run", run)


class TestTake:
    def test_hands_over_what_is_due_in_order_within_the_limits(self, settings):
        settings.JOBS_IN_FLIGHT_MAX = 2
        jobs = enqueue_many(run_atomic, [{}] * 3, tenant_id=ACME)
        other = enqueue(run_atomic, {}, tenant_id=GLOBEX)
        enqueue(run_atomic, {}, run_at=timezone.now() + timedelta(hours=1))

        messages = take()

        assert {message.id for message in messages} == {str(job.pk) for job in (*jobs[:2], other)}
        assert {message.dispatch for message in messages} == {1}
        assert take() == []

    def test_lets_partitions_take_turns_for_what_their_pool_may_have(self, settings):
        settings.JOBS_POOL_IN_FLIGHT_MAX = {"jobs": 2}
        enqueue_many(run_atomic, [{}] * 3, tenant_id=ACME)
        enqueue_many(run_atomic, [{}] * 3, tenant_id=GLOBEX)
        enqueue(run_singly, {}, tenant_id=ACME)

        tenants = [
            each.headers["tenant_id"] for each in take() if each.headers["task"] == run_atomic.name
        ]

        assert sorted(tenants) == sorted([str(ACME), str(GLOBEX)])
        assert take() == []

    def test_lets_a_type_have_a_limit_of_its_own(self):
        enqueue_many(run_singly, [{}] * 3, tenant_id=ACME)
        enqueue_many(run_atomic, [{}] * 3, tenant_id=ACME)

        assert len(take()) == 4

    def test_takes_no_more_than_a_batch_and_partitions_in_turn(self):
        enqueue_many(run_atomic, [{}] * 10, tenant_id=ACME)
        enqueue_many(run_atomic, [{}] * 10, tenant_id=GLOBEX)

        assert sorted(message.headers["tenant_id"] for message in take(4)) == sorted(
            [str(ACME), str(GLOBEX)] * 2
        )

    def test_sleeps_until_the_next_is_due(self, settings):
        settings.JOBS_RELAY_POLL_SECONDS = 3_600
        assert relay.seconds_until_due() == 3_600
        enqueue(run_atomic, {}, run_at=timezone.now() + timedelta(minutes=10))
        assert relay.seconds_until_due() == pytest.approx(600, abs=60)
        enqueue(run_atomic, {})
        assert relay.seconds_until_due() == relay.HELD_BACK_SECONDS


class TestClaim:
    def test_gives_the_job_to_one(self):
        job = make_job(state=JobState.QUEUED)

        mine = lifecycle.claim(job.pk, 1, worker="first")
        theirs = lifecycle.claim(job.pk, 1, worker="second")

        assert mine is not None
        assert (mine.pk, mine.attempt, mine.payload, theirs) == (job.pk, 1, job.payload, None)
        assert fresh(job).worker == "first"

    def test_keeps_a_lease_that_recovery_can_judge(self):
        job = make_job(state=JobState.QUEUED)
        lifecycle.claim(job.pk, 1, worker="first")

        assert recovery.put_back_silent() == 0
        assert lifecycle.extend_lease(fresh(job))
        Job.objects.update(lease_until=timezone.now() - timedelta(milliseconds=10))
        assert recovery.put_back_silent() == 1
        assert (fresh(job).state, fresh(job).losses) == ("waiting", 1)

    def test_is_refused_after_its_expiry(self):
        job = make_job(state=JobState.QUEUED, expires_at=timezone.now() - timedelta(seconds=1))

        assert lifecycle.claim(job.pk, 1, worker="first") is None


class TestAnExecution:
    @pytest.mark.parametrize("task", [run_atomic, run_freely])
    def test_succeeds_once_however_often_its_message_comes(self, does, task):
        does(lambda job, payload: leave_effect("ran"))
        job = make_job(task)
        (message,) = take()

        answers = [deliver(message) for _ in range(3)]

        assert answers == ["acknowledged", *["acknowledged: ignored"] * 2]
        assert (fresh(job).state, effects("ran")) == ("succeeded", 1)
        assert fresh(job).history.get().outcome == "succeeded"

    def test_retries_and_fails_for_good(self, does):
        def run(job, payload):
            leave_effect("undone")
            raise RuntimeError(f"attempt {job.attempt}")

        does(run)
        job = make_job()
        for _ in range(4):
            make_due(job)
            deliver(take()[0])

        now = fresh(job)
        assert (now.state, now.failures, now.error) == ("failed", 4, "RuntimeError: attempt 4")
        assert (now.history.count(), effects()) == (4, 0)

    def test_waits_before_the_next_attempt(self):
        job = make_job(state=JobState.RUNNING)
        before = timezone.now()

        lifecycle.retry_later(job, RuntimeError(), timedelta(seconds=40))

        assert (fresh(job).run_at - before).total_seconds() == pytest.approx(40, abs=20)

    @pytest.mark.parametrize("column", ["attempt", "dispatch"])
    def test_is_refused_to_a_zombie(self, column):
        job = make_job(run_freely, state=JobState.RUNNING)
        zombie = fresh(job)
        Job.objects.update(**{column: 2})

        with pytest.raises(MoveRefused), zombie.succeeding():
            leave_effect("late")
        with pytest.raises(MoveRefused):
            lifecycle.succeed(zombie)

        assert (fresh(job).state, effects()) == ("running", 0)

    def test_is_taken_over(self):
        job = make_job(state=JobState.RUNNING)

        lifecycle.take_over(job, worker="other")

        assert (job.attempt, job.losses, fresh(job).worker) == (2, 1, "other")


class TestOperations:
    def test_let_one_live_job_have_a_key(self):
        enqueue(run_atomic, {}, key="report-7")

        with pytest.raises(KeyInUse):
            enqueue(run_atomic, {}, key="report-7")

    def test_cancel_and_replay(self):
        job = make_job(state=JobState.RUNNING)
        operations.cancel_job(job_id=job.pk, by="ann")

        new = operations.replay_job(job_id=job.pk, by="ann")

        assert (fresh(job).state, fresh(new).state) == ("cancelled", "waiting")

    def test_put_back_and_keep_the_place(self):
        job = make_job(state=JobState.RUNNING)
        before = job.run_at

        lifecycle.put_back(job, "its worker stops", outcome=Outcome.HANDED_OVER)

        assert (fresh(job).state, fresh(job).run_at) == ("waiting", before)


class TestRecovery:
    def test_sends_what_is_lost_again_once(self):
        make_job(state=JobState.QUEUED, queued_at=timezone.now() - timedelta(minutes=2))
        broker = Recorder()
        sweeper = recovery.Sweeper(broker, {"jobs": 0.0})

        assert (sweeper.sweep(), sweeper.sweep()) == ((0, 1, 0), (0, 0, 0))

    def test_puts_back_what_an_earlier_process_held(self):
        make_job(state=JobState.RUNNING)
        make_job(state=JobState.QUEUED)

        assert recovery.put_back_held() == 2
        assert set(Job.objects.values_list("state", "losses")) == {("waiting", 1), ("waiting", 0)}

    def test_fails_what_expired(self):
        job = make_job(expires_at=timezone.now() - timedelta(seconds=1))

        assert recovery.fail_expired() == 1
        assert fresh(job).state == "failed"

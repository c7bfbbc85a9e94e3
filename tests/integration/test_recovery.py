"""Recovery: what went silent or missing comes back, and a long backlog is never sent twice."""

import threading
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from jobs.engine import recovery
from jobs.engine.publisher import Unconfirmed
from jobs.engine.recovery import COPIES_MAX, COPIES_PER_SWEEP, Sweeper
from jobs.lanes import lane_names
from jobs.models import Job
from jobs.states import DUE, JobState
from tests.deliveries import Recorder, at_once, deliver
from tests.drills import fresh, make_job, run_freely, script, store_backlog, take

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def broker():
    return Recorder()


@pytest.fixture
def sweeper(broker):
    """A sweeper that has seen every lane empty for long enough."""
    return Sweeper(broker, dict.fromkeys(lane_names(), 0.0))


def ago(**duration):
    return timezone.now() - timedelta(**duration)


def make_queued(**columns):
    """Store a job that was handed over two minutes ago."""
    return make_job(**{"state": JobState.QUEUED, "queued_at": ago(minutes=2), **columns})


class TestASilentJob:
    def test_waits_again_with_one_loss_more(self, sweeper):
        job = make_job(state=JobState.RUNNING, silent=True, worker="gone")

        assert sweeper.sweep() == (1, 0, 0)

        now = fresh(job)
        assert (now.state, now.losses, now.failures) == ("waiting", 1, 0)
        assert [(end.outcome, end.worker) for end in now.history.all()] == [("lost", "gone")]

    def test_goes_behind_what_waits_for_it_may_be_what_killed_its_process(self, sweeper):
        job = make_job(state=JobState.RUNNING, silent=True)
        Job.objects.filter(pk=job.pk).update(run_at=ago(hours=1))
        other = make_job()

        sweeper.sweep()

        assert fresh(job).run_at > other.run_at

    def test_is_left_alone_while_its_lease_lasts(self, sweeper):
        job = make_job(state=JobState.RUNNING)

        assert sweeper.sweep() == (0, 0, 0)
        assert fresh(job).state == "running"

    def test_fails_when_its_losses_are_spent(self, sweeper):
        job = make_job(state=JobState.RUNNING, silent=True, losses=10)

        assert sweeper.sweep() == (0, 0, 1) or sweeper.sweep()

        now = fresh(job)
        assert (now.state, now.losses) == ("failed", 11)
        assert now.error == "LossesSpent: Its process died 11 times."
        assert [end.outcome for end in now.history.all()] == ["lost"]

    def test_is_put_back_once_by_two_sweeps_at_once(self, broker):
        job = make_job(state=JobState.RUNNING, silent=True)

        counts = at_once(recovery.put_back_silent, recovery.put_back_silent)

        assert sorted(counts) == [0, 1]
        assert fresh(job).losses == 1

    def test_that_shows_a_sign_of_life_after_the_look_is_left_alone(self, monkeypatch):
        # Given a heartbeat between the look for silent jobs and the move of one
        job = make_job(state=JobState.RUNNING, silent=True)
        unheld = recovery._unheld

        def beat_then_lock(jobs):
            Job.objects.filter(pk=job.pk).update(lease_until=ago(seconds=-60))
            return unheld(jobs)

        monkeypatch.setattr(recovery, "_unheld", beat_then_lock)

        # Then the attempt keeps its job
        assert recovery.put_back_silent() == 0
        assert (fresh(job).state, fresh(job).losses) == ("running", 0)

    def test_that_is_held_by_its_fence_keeps_nobody_waiting(self):
        # Given a process that hangs inside its fence, and another silent job
        held, other = (make_job(run_freely, state=JobState.RUNNING, silent=True) for _ in "12")
        inside, swept = threading.Event(), threading.Event()

        def hang():
            with held.fence():
                inside.set()
                swept.wait(60)

        def sweep():
            inside.wait(60)
            try:
                return recovery.put_back_silent()
            finally:
                swept.set()

        _, count = at_once(hang, sweep)

        assert count == 1
        assert (fresh(held).state, fresh(other).state) == ("running", "waiting")

    def test_whose_hook_fails_keeps_no_other_from_coming_back(self, sweeper, monkeypatch):
        def fail(job):
            raise RuntimeError("the feature can't be written")

        monkeypatch.setattr(script, "on_settled", fail)
        spent = make_job(state=JobState.RUNNING, silent=True, losses=10)
        other = make_job(state=JobState.RUNNING, silent=True)

        sweeper.sweep()

        assert (fresh(spent).state, fresh(other).state) == ("running", "waiting")

    def test_whose_hook_spoils_its_transaction_spoils_no_other(self, sweeper, monkeypatch):
        def fail(job):
            with connection.cursor() as cursor:
                cursor.execute("SELECT no_such_column")

        monkeypatch.setattr(script, "on_settled", fail)
        spent = make_job(state=JobState.RUNNING, silent=True, losses=10)
        other = make_job(state=JobState.RUNNING, silent=True)

        sweeper.sweep()

        assert (fresh(spent).state, fresh(other).state) == ("running", "waiting")

    def test_waits_for_a_database_that_is_away(self, sweeper, monkeypatch):
        # The daemon waits it out; it is no fault of this job's.
        def vanish(job):
            raise OperationalError("server closed the connection unexpectedly")

        monkeypatch.setattr(script, "on_settled", vanish)
        make_job(state=JobState.RUNNING, silent=True, losses=10)

        with pytest.raises(OperationalError):
            sweeper.sweep()


class TestALostMessage:
    def test_is_sent_again_in_the_same_dispatch_when_its_lane_stays_empty(self, sweeper, broker):
        job = make_queued(dispatch=7)

        assert sweeper.sweep() == (0, 1, 0)

        (copy,) = broker.sent
        assert (copy.id, copy.dispatch) == (str(job.pk), 7)
        now = fresh(job)
        assert (now.state, now.dispatch, now.copies) == ("queued", 7, 1)

    def test_and_its_copy_run_once(self, sweeper, broker):
        make_job()
        (original,) = take()
        Job.objects.update(queued_at=ago(minutes=2))
        sweeper.sweep()

        answers = [deliver(each) for each in (*broker.sent, original)]

        assert answers == ["acknowledged", "acknowledged: ignored"]
        assert Job.objects.get().attempt == 1

    def test_is_not_missed_before_the_lane_has_been_empty_for_a_while(self, broker):
        make_queued()
        sweeper = Sweeper(broker)

        assert sweeper.sweep() == (0, 0, 0)
        assert sweeper.sweep() == (0, 0, 0)

    def test_is_not_missed_by_one_look_at_a_lane_that_filled_meanwhile(self, sweeper, broker):
        # Given a lane that was empty for long, then had a message, then was empty again
        make_queued()
        broker.ready["jobs"] = 1
        sweeper.sweep()
        broker.ready["jobs"] = 0

        assert sweeper.sweep() == (0, 0, 0)

    def test_is_not_missed_right_after_it_was_handed_over(self, sweeper):
        make_queued(queued_at=timezone.now())

        assert sweeper.sweep() == (0, 0, 0)

    def test_of_another_program_is_missed_too(self, sweeper, broker):
        make_queued(dispatch=0)

        assert sweeper.sweep() == (0, 1, 0)
        assert broker.sent[0].dispatch == 0

    def test_is_found_by_a_job_that_overtook_it(self, broker):
        # Given a lane with messages ready
        broker.ready["jobs"] = 5
        lost = make_queued(queued_at=ago(minutes=10))
        make_queued(queued_at=ago(minutes=8, seconds=30))  # Handed over too soon after it.
        make_queued(queued_at=ago(minutes=7))

        # When a job that was handed over more than a minute later than one of them runs
        make_job(state=JobState.RUNNING, queued_at=ago(minutes=8, seconds=40))

        # Then that one is lost, for lanes are first in, first out
        assert Sweeper(broker).sweep() == (0, 1, 0)
        assert [copy.id for copy in broker.sent] == [str(lost.pk)]

    def test_is_not_found_by_a_job_of_another_lane(self, broker):
        broker.ready = {"jobs": 5, "exports": 5}
        make_queued(queued_at=ago(minutes=10))
        make_job(state=JobState.RUNNING, queue="exports", queued_at=timezone.now())

        assert Sweeper(broker).sweep() == (0, 0, 0)

    def test_is_missed_in_no_backlog_however_long_it_lasts(self, broker):
        # Given 300 jobs handed over hours ago, in order, and a worker at the oldest of them
        broker.ready["jobs"] = 299
        for minute in range(300):
            make_queued(queued_at=ago(minutes=400 - minute))
        oldest = Job.objects.earliest("queued_at")
        Job.objects.filter(pk=oldest.pk).update(
            state=JobState.RUNNING, lease_until=ago(seconds=-60)
        )

        # When recovery looks again and again, then it sends nothing
        sweeper = Sweeper(broker)
        assert [sweeper.sweep() for _ in range(5)] == [(0, 0, 0)] * 5
        assert broker.sent == []

    def test_is_sent_once_in_15_minutes(self, sweeper, broker):
        job = make_queued()
        sweeper.sweep()

        assert sweeper.sweep() == (0, 0, 0)
        Job.objects.filter(pk=job.pk).update(copied_at=ago(minutes=14))
        assert sweeper.sweep() == (0, 0, 0)
        Job.objects.filter(pk=job.pk).update(copied_at=ago(minutes=16))
        assert sweeper.sweep() == (0, 1, 0)
        assert fresh(job).copies == 2

    def test_is_sent_by_one_of_two_relays_that_sweep_at_once(self):
        for _ in range(20):
            make_queued()
        first, second = Recorder(), Recorder()
        sweepers = [Sweeper(each, {"jobs": 0.0}) for each in (first, second)]

        at_once(*(each.sweep for each in sweepers))

        sent = [copy.id for copy in (*first.sent, *second.sent)]
        assert len(sent) == len(set(sent)) == 20
        assert set(Job.objects.values_list("copies", flat=True)) == {1}

    def test_is_one_of_100_for_a_lane_and_sweep_the_oldest_first(self, sweeper, broker):
        jobs = [make_queued(queued_at=ago(minutes=500 - number)) for number in range(110)]

        assert sweeper.sweep() == (0, COPIES_PER_SWEEP, 0)
        assert [copy.id for copy in broker.sent] == [str(job.pk) for job in jobs[:100]]
        assert sweeper.sweep() == (0, 10, 0)

    def test_fails_its_job_after_20_copies_that_nobody_claimed(self, sweeper, broker):
        job = make_queued(copies=COPIES_MAX, copied_at=ago(minutes=16))

        assert sweeper.sweep() == (0, 0, 1)

        now = fresh(job)
        assert (now.state, now.attempts) == ("failed", 0)
        assert now.error == "NeverClaimed: No worker took any of 20 copies."
        assert not now.history.exists()
        assert broker.sent == []

    def test_has_15_minutes_after_the_last_copy_too(self, sweeper):
        job = make_queued(copies=COPIES_MAX, copied_at=ago(minutes=1))

        assert sweeper.sweep() == (0, 0, 0)
        assert fresh(job).state == "queued"

    def test_starts_a_new_count_with_the_next_dispatch(self):
        job = make_queued(copies=19, state=JobState.WAITING, copied_at=ago(minutes=1))
        take()

        now = fresh(job)
        assert (now.copies, now.copied_at) == (0, None)

    def test_is_counted_before_it_is_sent(self, sweeper, broker, monkeypatch):
        # A relay that dies in between tries again in 15 minutes, and not for ever at once.
        def die(messages):
            raise Unconfirmed(OSError("cut"), [])

        monkeypatch.setattr(broker, "send", die)
        job = make_queued()

        with pytest.raises(Unconfirmed):
            sweeper.sweep()

        assert fresh(job).copies == 1

    def test_can_be_sent_at_once_by_an_operator_who_knows_that_it_is_gone(self, broker):
        make_queued(queued_at=timezone.now())

        assert Sweeper(broker).sweep(trust_empty_lanes=True) == (0, 1, 0)

    def test_is_not_sent_for_an_operator_who_is_mistaken(self, broker):
        broker.ready["jobs"] = 1
        make_queued()

        assert Sweeper(broker).sweep(trust_empty_lanes=True) == (0, 0, 0)


class TestASweep:
    def test_puts_back_what_is_silent_while_the_broker_is_away(self, sweeper, broker):
        broker.away = True
        job = make_job(state=JobState.RUNNING, silent=True)

        with pytest.raises(Unconfirmed):
            sweeper.sweep()

        assert fresh(job).state == "waiting"

    @pytest.mark.parametrize("state", [JobState.WAITING, JobState.RETRYING])
    def test_fails_what_expired_before_its_turn(self, sweeper, state):
        job = make_job(state=state, expires_at=ago(seconds=1))

        assert sweeper.sweep() == (0, 0, 1)
        assert fresh(job).state == "failed"
        assert fresh(job).error.startswith("JobExpired: It expired at ")

    def test_leaves_what_expires_later(self, sweeper):
        job = make_job(expires_at=ago(hours=-1))

        assert sweeper.sweep() == (0, 0, 0)
        assert fresh(job).state == "waiting"

    def test_reads_no_backlog_to_find_what_expired(self):
        store_backlog(20_000, partitions=50)
        expired = Job.objects.filter(state__in=DUE, expires_at__lt=timezone.now())

        assert "jobs_due_by_expiry" in expired.explain()


class TestAStart:
    def test_puts_back_all_that_an_earlier_process_held(self):
        ran, queued = make_job(state=JobState.RUNNING), make_job(state=JobState.QUEUED)
        waiting = make_job()

        assert recovery.put_back_held() == 2

        assert {fresh(job).state for job in (ran, queued, waiting)} == {"waiting"}
        assert (fresh(ran).losses, fresh(queued).losses) == (1, 0)


class TestAStop:
    def test_hands_over_what_runs_and_spends_nothing(self):
        job = make_job(state=JobState.RUNNING)

        assert recovery.hand_over_running() == 1

        now = fresh(job)
        assert (now.state, now.losses, now.failures) == ("waiting", 0, 0)
        assert [end.outcome for end in now.history.all()] == ["handed_over"]

"""Every move is a compare-and-set: of two that try, one wins, and the other learns it."""

from datetime import timedelta
from functools import partial

import pytest
from django.db import OperationalError, transaction
from django.utils import timezone

from jobs import operations
from jobs.engine import lifecycle
from jobs.errors import GiveUp, MoveRefused, NotLive, UnknownJob
from jobs.models import Attempt, Job
from jobs.states import JobState, Outcome
from tests.deliveries import at_once, deliver
from tests.drills import (
    ACME,
    GLOBEX,
    effects,
    fresh,
    leave_effect,
    make_due,
    make_job,
    run_atomic,
    run_freely,
    script,
    take,
)

pytestmark = pytest.mark.django_db(transaction=True)

AGAIN = "acknowledged: retried"


@pytest.fixture
def does(monkeypatch):
    """Return a function that sets what jobs do."""
    return lambda run: monkeypatch.setattr(script, "run", run)


def settle(job, state):
    """Settle a running job by the engine's own function."""
    with transaction.atomic():
        if state == JobState.SUCCEEDED:
            lifecycle.succeed(job)
        elif state == JobState.FAILED:
            lifecycle.fail(job, RuntimeError("the reason"))
        else:
            lifecycle.cancel(job, by="ann")


def fail_always(job, payload):
    raise RuntimeError(f"attempt {job.attempt}")


class TestMove:
    def test_lets_only_one_of_two_workers_take_a_job(self):
        job = make_job(state=JobState.QUEUED)

        first, second = at_once(*[lambda: lifecycle.claim(job.pk, job.dispatch, worker="any")] * 2)

        assert [first, second].count(None) == 1
        assert fresh(job).attempt == 1

    @pytest.mark.parametrize("column", ["attempt", "dispatch"])
    @pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
    def test_refuses_a_zombie(self, column, state):
        # Given a worker that lost its job to recovery, which gave it to another
        job = make_job(state=JobState.RUNNING)
        zombie = fresh(job)
        Job.objects.filter(pk=job.pk).update(**{column: 2})

        # When it comes back to settle, then it is refused, and the other goes on
        with pytest.raises(MoveRefused) as refused:
            settle(zombie, state)

        assert str(job.pk) in str(refused.value)
        assert fresh(job).state == zombie.state == "running"
        assert not Attempt.objects.exists()

    @pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
    @pytest.mark.parametrize("settled", ["succeeded", "failed", "cancelled"])
    def test_never_leaves_a_final_state(self, state, settled):
        job = make_job(state=JobState.RUNNING)
        late = fresh(job)
        Job.objects.filter(pk=job.pk).update(state=settled)

        with pytest.raises(MoveRefused):
            settle(late, state)

        assert fresh(job).state == settled

    def test_leaves_the_object_as_it_was_when_it_is_refused(self):
        job = make_job(state=JobState.RUNNING)
        before = dict(job.__dict__)
        Job.objects.filter(pk=job.pk).update(attempt=2)

        with pytest.raises(MoveRefused):
            lifecycle.retry_later(job, RuntimeError(), timedelta(seconds=10))

        assert job.__dict__ == before

    @pytest.mark.parametrize(
        "other",
        [
            lambda job: lifecycle.put_back(job, "silent", outcome=Outcome.LOST),
            lambda job: lifecycle.cancel(job, by="ann"),
            lambda job: lifecycle.take_over(job, worker="other"),
            lambda job: lifecycle.retry_later(job, RuntimeError(), timedelta(seconds=10)),
            lambda job: settle(job, JobState.FAILED),
        ],
    )
    def test_is_made_by_one_of_two_that_race(self, other):
        for _ in range(5):
            mine = make_job(state=JobState.RUNNING)
            theirs = fresh(mine)

            answers = at_once(partial(settle, mine, JobState.SUCCEEDED), partial(other, theirs))

            assert sorted(map(type, answers), key=str) == sorted([type(None), MoveRefused], key=str)
            assert fresh(mine).history.count() <= 1
            assert (fresh(mine).state == "succeeded") == (answers[0] is None)

    def test_is_a_short_transaction_of_its_own_or_part_of_the_callers(self):
        job = make_job(state=JobState.RUNNING)

        def undo():
            with transaction.atomic():
                lifecycle.fail(fresh(job), RuntimeError())
                raise InterruptedError

        with pytest.raises(InterruptedError):
            undo()

        assert fresh(job).state == "running"
        assert not Attempt.objects.exists()


class TestOnSettled:
    @pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
    def test_shares_the_transaction(self, monkeypatch, state):
        seen = []

        def note(job):
            seen.append((job.state, at_once(lambda: fresh(job).state)[0]))
            leave_effect("feature")

        monkeypatch.setattr(script, "on_settled", note)
        job = make_job(state=JobState.RUNNING)
        settle(job, state)

        # In the hook the job has settled; to everybody else it has not yet.
        assert seen == [(state, "running")]
        assert (fresh(job).state, effects("feature")) == (state, 1)

    @pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED])
    def test_rolls_the_move_back_when_it_fails(self, monkeypatch, state):
        def fail(job):
            leave_effect("feature")
            raise LookupError("the export is gone")

        monkeypatch.setattr(script, "on_settled", fail)
        job = make_job(state=JobState.RUNNING)

        with pytest.raises(LookupError):
            settle(job, state)

        assert (fresh(job).state, effects("feature")) == ("running", 0)
        assert not Attempt.objects.exists()

    def test_says_why(self, monkeypatch):
        said = []
        monkeypatch.setattr(script, "on_settled", lambda job: said.append(job.error))

        settle(make_job(state=JobState.RUNNING), JobState.FAILED)
        settle(make_job(state=JobState.RUNNING), JobState.CANCELLED)

        assert said == ["RuntimeError: the reason", "Cancelled by ann."]

    def test_is_called_once_for_a_job_that_retries(self, does, monkeypatch):
        states = []
        monkeypatch.setattr(script, "on_settled", lambda job: states.append(job.state))
        does(lambda job, payload: fail_always(job, payload) if job.attempt < 3 else None)
        job = make_job()
        for _ in range(3):
            make_due(job)
            deliver(take()[0])

        assert states == ["succeeded"]

    def test_may_be_of_a_type_that_is_not_known_here(self):
        job = make_job(state=JobState.RUNNING, type="another.release")

        settle(job, JobState.SUCCEEDED)

        assert fresh(job).state == "succeeded"


class TestRetry:
    def test_waits_in_the_ledger_longer_each_time_and_then_fails(self, does):
        does(fail_always)
        job = make_job()
        answers, waits = [], []
        for _ in range(4):
            make_due(job)
            before = timezone.now()
            answers.append(deliver(take()[0]))
            waits.append((fresh(job).run_at - before).total_seconds())

        now = fresh(job)
        assert answers == [AGAIN, AGAIN, AGAIN, "rejected: RuntimeError"]
        assert [round(wait / 10) for wait in waits[:3]] == [1, 2, 4]
        assert (now.state, now.failures, now.attempt, now.attempts) == ("failed", 4, 4, 4)
        assert now.error == "RuntimeError: attempt 4"

    def test_is_not_sent_before_its_time(self, does):
        does(fail_always)
        job = make_job()
        deliver(take()[0])

        assert take() == []
        make_due(job)
        (message,) = take()
        assert (message.dispatch, message.headers["retries"]) == (2, 1)

    def test_leaves_each_attempts_error_and_traceback(self, does):
        does(fail_always)
        job = make_job()
        for _ in range(2):
            make_due(job)
            deliver(take()[0])

        first, second = fresh(job).history.order_by("attempt")
        assert (first.attempt, first.outcome, first.error_type) == (1, "failed", "RuntimeError")
        assert (first.error_message, second.error_message) == ("attempt 1", "attempt 2")
        assert "in fail_always" in first.traceback
        assert first.started_at
        assert second.started_at
        assert first.started_at < first.ended_at <= second.started_at

    def test_is_refused_to_what_can_not_end_differently(self, does):
        def give_up(job, payload):
            raise GiveUp("the mailbox does not exist")

        does(give_up)
        job = make_job()

        assert deliver(take()[0]) == "rejected: GiveUp"
        assert (fresh(job).state, fresh(job).failures) == ("failed", 1)

    def test_forgets_the_error_when_an_attempt_succeeds_after_all(self, does):
        does(lambda job, payload: fail_always(job, payload) if job.attempt == 1 else None)
        job = make_job()
        for _ in range(2):
            make_due(job)
            deliver(take()[0])

        now = fresh(job)
        assert (now.state, now.error, now.attempts) == ("succeeded", "", 2)

    def test_spends_nothing_of_the_budget_for_a_loss(self, does):
        does(fail_always)
        job = make_job(state=JobState.RUNNING, attempt=9, losses=8, silent=True)
        lifecycle.put_back(job, "silent", outcome=Outcome.LOST)

        assert deliver(take()[0]) == AGAIN
        assert (fresh(job).failures, fresh(job).losses, fresh(job).attempt) == (1, 9, 10)


class TestWhatAnErrorSays:
    @pytest.mark.parametrize("text", ["nul \0", "half a pair \ud800", "Zoë 🚀\n" * 5_000])
    def test_is_stored_whatever_it_is(self, does, text):
        def fail(job, payload):
            raise RuntimeError(text)

        does(fail)
        job = make_job()

        assert deliver(take()[0]) == AGAIN
        assert fresh(job).state == "retrying"
        assert fresh(job).error.startswith(f"RuntimeError: {text[:3]}")

    def test_is_one_line_in_the_job_and_whole_in_the_history(self, does):
        def fail(job, payload):
            raise RuntimeError("first\nsecond")

        does(fail)
        job = make_job()
        deliver(take()[0])

        assert fresh(job).error == "RuntimeError: first second"
        assert fresh(job).history.get().error_message == "first\nsecond"

    def test_is_stored_even_of_an_error_that_can_not_say_anything(self, does):
        class Mute(Exception):
            def __str__(self):
                raise ValueError("no words")

        def fail(job, payload):
            raise Mute

        does(fail)
        job = make_job()

        assert deliver(take()[0]) == AGAIN
        assert fresh(job).error == "Mute: (its text can't be read: ValueError)"
        assert fresh(job).history.get().error_type == "Mute"


class TestCancel:
    @pytest.mark.parametrize("state", ["waiting", "queued", "running", "retrying"])
    def test_settles_a_live_job_at_once(self, state):
        job = make_job(state=state)

        operations.cancel_job(job_id=job.pk, by="ann")

        now = fresh(job)
        assert (now.state, now.error) == ("cancelled", "Cancelled by ann.")
        assert now.settled_at
        assert [end.outcome for end in now.history.all()] == ["cancelled"] * (state == "running")

    @pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
    def test_is_refused_for_a_settled_one(self, state):
        job = make_job(state=state)

        with pytest.raises(NotLive, match=state):
            operations.cancel_job(job_id=job.pk, by="ann")

    def test_finds_no_job_of_another_tenant(self):
        job = make_job(tenant_id=ACME)

        with pytest.raises(UnknownJob):
            operations.cancel_job(job_id=job.pk, by="eve", tenant_id=GLOBEX)

        assert fresh(job).state == "waiting"

    def test_wins_over_moves_that_are_made_meanwhile(self, monkeypatch):
        # Given a job that is handed over and claimed between the look and the write
        job = make_job()
        moves = [{"state": "queued", "dispatch": 1}, {"state": "running", "attempt": 1}]
        cancel = lifecycle.cancel

        def move_then_cancel(job, *, by):
            if moves:
                Job.objects.filter(pk=job.pk).update(**moves.pop(0))
            cancel(job, by=by)

        monkeypatch.setattr(lifecycle, "cancel", move_then_cancel)

        # Then it is cancelled where it has come to
        assert operations.cancel_job(job_id=job.pk, by="ann").state == "cancelled"
        assert fresh(job).history.get().outcome == "cancelled"

    def test_races_with_the_settle_and_exactly_one_counts(self, does):
        outcomes = set()
        for _ in range(5):
            job = make_job(run_freely)
            (message,) = take()
            at_once(
                partial(deliver, message),
                partial(operations.cancel_job, job_id=job.pk, by="ann"),
            )
            outcomes.add(fresh(job).state)
            assert fresh(job).history.count() <= 1

        assert outcomes <= {"succeeded", "cancelled"}

    def test_leaves_nothing_to_run(self, does):
        does(lambda job, payload: leave_effect("ran"))
        job = make_job()
        (message,) = take()
        operations.cancel_job(job_id=job.pk, by="ann")

        assert deliver(message) == "acknowledged: ignored"
        assert effects() == 0


class TestAnAttempt:
    def test_is_recorded_as_a_success_with_its_times_and_worker(self):
        job = make_job(run_atomic)
        deliver(take()[0], hostname="node@host")

        end = fresh(job).history.get()
        assert (end.attempt, end.dispatch, end.outcome) == (1, 1, "succeeded")
        assert end.worker.startswith("node@host:")
        assert end.started_at == fresh(job).started_at
        assert end.ended_at == fresh(job).settled_at

    def test_is_worth_a_requeue_when_the_database_stays_away(self, does, settings, monkeypatch):
        # Nothing is acknowledged that has not run, and nothing dead-lettered for the database.
        settings.JOBS_DATABASE_WAIT_SECONDS = 0

        def away(*_, **__):
            raise OperationalError("server closed the connection unexpectedly")

        job = make_job()
        (message,) = take()
        monkeypatch.setattr(lifecycle, "claim", away)

        assert deliver(message) == "requeued"
        assert fresh(job).state == "queued"

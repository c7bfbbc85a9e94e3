"""Effects once: what an attempt writes counts only while its job is its own."""

import threading

import pytest
from celery import current_app
from django.db import Error, IntegrityError, OperationalError, connection, transaction
from django.utils import timezone

from jobs import operations
from jobs.engine import lifecycle
from jobs.errors import MoveRefused
from jobs.models import Job, Process
from jobs.states import JobState
from tests.deliveries import at_once, deliver
from tests.drills import (
    effects,
    fresh,
    leave_effect,
    make_job,
    nothing,
    run_atomic,
    run_freely,
    script,
    take,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def does(monkeypatch):
    """Return a function that sets what jobs of both types do."""
    return lambda run: monkeypatch.setattr(script, "run", run)


def delivered(task, **options):
    """Hand a new job to a worker; return it as it ended and what the worker said."""
    job = make_job(task)
    (message,) = take()
    answer = deliver(message, **options)
    return fresh(job), answer


def give_to_another(job):
    """Let recovery and another worker have the job, as after a lease that ran out."""
    Job.objects.filter(pk=job.pk).update(attempt=job.attempt + 1)


class TestAtomic:
    def test_commits_the_effect_with_the_settle(self, does):
        does(lambda job, payload: leave_effect("atomic"))

        job, answer = delivered(run_atomic)

        assert (job.state, effects("atomic"), answer) == ("succeeded", 1, "acknowledged")

    def test_keeps_no_effect_of_an_attempt_that_failed(self, does):
        def run(job, payload):
            leave_effect("atomic")
            raise RuntimeError("half way")

        does(run)
        job, answer = delivered(run_atomic)

        assert (job.state, effects(), answer) == ("retrying", 0, "acknowledged: retried")

    def test_refuses_the_effect_of_an_attempt_that_was_given_up(self, does):
        def run(job, payload):
            leave_effect("late")
            at_once(lambda: give_to_another(job))

        does(run)
        job, answer = delivered(run_atomic)

        assert (job.state, effects(), answer) == ("running", 0, "acknowledged: ignored")

    def test_refuses_the_effect_of_a_job_that_was_cancelled(self, does):
        def run(job, payload):
            leave_effect("late")
            at_once(lambda: operations.cancel_job(job_id=job.pk, by="ann"))

        does(run)
        job, answer = delivered(run_atomic)

        assert (job.state, effects(), answer) == ("cancelled", 0, "acknowledged: ignored")

    def test_retries_what_the_database_refuses_only_at_the_commit(self, does):
        # Foreign keys are checked when the transaction commits: after the settle.
        def run(job, payload):
            with connection.cursor() as cursor:
                cursor.execute(
                    "INSERT INTO jobs_attempt (job_id, attempt, dispatch, outcome, worker,"
                    " started_at, ended_at, error_type, error_message, traceback) VALUES"
                    " (gen_random_uuid(), 1, 1, 'failed', '', NULL, now(), '', '', '')"
                )

        does(run)
        job, answer = delivered(run_atomic)

        assert (job.state, answer) == ("retrying", "acknowledged: retried")
        assert job.error.startswith("IntegrityError: ")

    def test_fails_for_good_when_the_last_attempt_fails_at_the_commit(self, does):
        def run(job, payload):
            transaction.on_commit(nothing)
            with connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL DEFERRED")
                cursor.execute(
                    "UPDATE jobs_job SET replay_of_id = gen_random_uuid() WHERE id = %s", [job.pk]
                )

        does(run)
        job = make_job()
        Job.objects.filter(pk=job.pk).update(failures=3)
        (message,) = take()

        assert deliver(message) == "rejected: IntegrityError"
        assert fresh(job).state == "failed"

    def test_runs_again_when_the_database_vanishes_at_the_commit(self, does, monkeypatch):
        def vanish(job):
            raise OperationalError("server closed the connection unexpectedly")

        does(lambda job, payload: leave_effect("atomic"))
        monkeypatch.setattr(script, "on_settled", vanish)
        job, answer = delivered(run_atomic)

        assert (job.state, effects(), answer) == ("retrying", 0, "acknowledged: retried")

    def test_may_ask_for_a_retry_by_itself(self, does):
        def run(job, payload):
            leave_effect("undone")
            current_app.tasks[job.type].retry(countdown=120)

        does(run)
        before = timezone.now()
        job, answer = delivered(run_atomic)

        assert (job.state, effects(), answer) == ("retrying", 0, "acknowledged: retried")
        assert (job.run_at - before).total_seconds() == pytest.approx(120, abs=60)
        assert job.failures == 1


class TestNotAtomic:
    def test_settles_when_the_function_returns(self, does):
        does(lambda job, payload: leave_effect("free"))

        job, answer = delivered(run_freely)

        assert (job.state, effects("free"), answer) == ("succeeded", 1, "acknowledged")

    def test_settles_once_where_the_function_has_settled_already(self, does):
        def run(job, payload):
            with job.succeeding():
                leave_effect("free")

        does(run)
        job, answer = delivered(run_freely)

        assert (job.state, effects("free"), answer) == ("succeeded", 1, "acknowledged")
        assert job.history.count() == 1

    def test_may_ask_for_a_retry_by_itself(self, does):
        does(lambda job, payload: current_app.tasks[job.type].retry(countdown=120))

        job, answer = delivered(run_freely)

        assert (job.state, job.failures, answer) == ("retrying", 1, "acknowledged: retried")
        assert job.history.count() == 1


class TestFence:
    def test_lets_the_attempt_write_whose_job_it_is(self):
        job = make_job(run_freely, state=JobState.RUNNING)

        with job.fence():
            leave_effect("fenced")

        assert effects("fenced") == 1
        assert fresh(job).state == "running"

    @pytest.mark.parametrize(
        "change",
        [{"attempt": 2}, {"dispatch": 2}, {"state": "waiting"}, {"state": "cancelled"}],
    )
    def test_refuses_a_late_writer(self, change):
        job = make_job(run_freely, state=JobState.RUNNING)
        Job.objects.filter(pk=job.pk).update(**change)

        with pytest.raises(MoveRefused), job.fence():
            leave_effect("late")

        assert effects() == 0

    def test_refuses_the_writer_of_a_job_that_is_gone(self):
        job = make_job(run_freely, state=JobState.RUNNING)
        Job.objects.filter(pk=job.pk).delete()

        with pytest.raises(MoveRefused), job.fence():
            leave_effect("late")

    def test_ends_the_attempt_of_a_cancelled_job_without_a_retry(self, does):
        def run(job, payload):
            operations.cancel_job(job_id=job.pk, by="ann")
            with job.fence():
                leave_effect("late")

        does(run)
        job, answer = delivered(run_freely)

        assert (job.state, effects(), answer) == ("cancelled", 0, "acknowledged: ignored")
        assert [attempt.outcome for attempt in job.history.all()] == ["cancelled"]

    def test_keeps_others_from_taking_the_job_until_it_ends(self):
        job = make_job(run_freely, state=JobState.RUNNING)
        inside, taken = threading.Event(), threading.Event()

        def write():
            with job.fence():
                inside.set()
                taken.wait(0.5)  # The other waits for the row; it can't set this yet.
                leave_effect("fenced")

        def take_over():
            inside.wait(30)
            lifecycle.take_over(fresh(job), worker="other")
            taken.set()
            return effects("fenced")

        _, seen = at_once(write, take_over)

        assert seen == 1
        assert fresh(job).attempt == 2

    def test_of_a_process_that_hangs_ends_with_its_lease(self, settings):
        # Given a process that is stopped inside its fence
        settings.JOBS_LEASE_SECONDS = 1
        job = make_job(run_freely, state=JobState.RUNNING)
        inside, taken = threading.Event(), threading.Event()

        def hang():
            with job.fence():
                leave_effect("late")
                inside.set()
                taken.wait(60)

        def take_over():
            inside.wait(60)
            try:
                lifecycle.take_over(fresh(job), worker="other")
            finally:
                taken.set()

        # Then PostgreSQL ends its session: another has the job, and what it wrote is gone
        hung, _ = at_once(hang, take_over)

        assert isinstance(hung, Error)
        assert (fresh(job).worker, effects()) == ("other", 0)

    def test_rolls_back_what_was_written_before_an_error(self):
        job = make_job(run_freely, state=JobState.RUNNING)

        def write():
            with job.fence():
                leave_effect("undone")
                Process.objects.bulk_create([Process(name="same", seen_at=timezone.now())] * 2)

        with pytest.raises(IntegrityError):
            write()

        assert effects() == 0
        assert fresh(job).state == "running"


class TestSucceeding:
    def test_commits_the_effect_with_the_settle(self):
        job = make_job(run_freely, state=JobState.RUNNING)

        with job.succeeding():
            leave_effect("last")

        assert effects("last") == 1
        assert fresh(job).state == job.state == "succeeded"

    def test_leaves_the_job_running_when_the_block_fails(self):
        job = make_job(run_freely, state=JobState.RUNNING)

        def write():
            with job.succeeding():
                leave_effect("undone")
                raise RuntimeError("half way")

        with pytest.raises(RuntimeError):
            write()

        assert effects() == 0
        assert fresh(job).state == job.state == "running"

    def test_leaves_the_object_as_the_row_when_the_settle_is_rolled_back(self, monkeypatch):
        # The attempt goes on with this object: what it says of the state is what it acts on.
        def refuse(job):
            raise RuntimeError("the feature can't be written")

        monkeypatch.setattr(script, "on_settled", refuse)
        job = make_job(run_freely, state=JobState.RUNNING)

        with pytest.raises(RuntimeError), job.succeeding():
            leave_effect("undone")

        assert effects() == 0
        assert fresh(job).state == job.state == "running"

    def test_is_refused_to_a_late_writer(self):
        job = make_job(run_freely, state=JobState.RUNNING)
        give_to_another(job)

        with pytest.raises(MoveRefused), job.succeeding():
            leave_effect("late")

        assert effects() == 0
        assert fresh(job).state == "running"

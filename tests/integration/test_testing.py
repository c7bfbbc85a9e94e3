"""`jobs.testing` runs in a test what a worker would run, by the engine's own code."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs import enqueue, testing
from jobs.testing import run_enqueued_jobs
from tests.drills import (
    ACME,
    Drill,
    effects,
    fresh,
    leave_effect,
    run_atomic,
    run_freely,
    run_singly,
    script,
)

pytestmark = pytest.mark.django_db  # In the transaction of an ordinary test, as users have it.


@pytest.fixture
def does(monkeypatch):
    return lambda run: monkeypatch.setattr(script, "run", run)


class TestRunEnqueuedJobs:
    @pytest.mark.parametrize("task", [run_atomic, run_freely])
    def test_runs_them_and_returns_them_as_they_ended(self, does, task):
        does(lambda job, payload: leave_effect(payload.label))
        jobs = [enqueue(task, Drill(label=name), tenant_id=ACME) for name in ("one", "two")]

        ended = run_enqueued_jobs()

        assert [(job.pk, job.state, job.attempts) for job in ended] == [
            (job.pk, "succeeded", 1) for job in jobs
        ]
        assert (effects("one"), effects("two")) == (1, 1)

    def test_runs_what_they_enqueue_too(self, does):
        def run(job, payload):
            if payload.label == "parent":
                enqueue(run_freely, {"label": "child"})

        does(run)
        enqueue(run_atomic, {"label": "parent"})

        assert [job.payload["label"] for job in run_enqueued_jobs()] == ["parent", "child"]

    def test_runs_nothing_twice(self, does):
        does(lambda job, payload: leave_effect("ran"))
        enqueue(run_atomic, {})
        run_enqueued_jobs()

        assert run_enqueued_jobs() == []
        assert effects("ran") == 1

    def test_leaves_what_is_due_later(self):
        job = enqueue(run_atomic, {}, run_at=timezone.now() + timedelta(days=1))

        assert run_enqueued_jobs() == []
        assert fresh(job).state == "waiting"

    def test_runs_more_than_may_be_in_flight(self):
        for _ in range(3):
            enqueue(run_singly, {}, tenant_id=ACME)

        assert len(run_enqueued_jobs()) == 3

    def test_skips_the_waits_before_retries(self, does):
        def run(job, payload):
            if job.attempt < 4:
                raise RuntimeError("not yet")

        does(run)
        enqueue(run_atomic, {})

        (ended,) = run_enqueued_jobs()
        assert (ended.state, ended.attempt, ended.failures) == ("succeeded", 4, 3)

    def test_raises_the_error_of_one_that_fails_after_all_have_run(self, does):
        def run(job, payload):
            if payload.label == "bad":
                raise LookupError("no such row")

        does(run)
        bad = enqueue(run_atomic, {"label": "bad"})
        good = enqueue(run_atomic, {"label": "good"})

        with pytest.raises(LookupError, match="no such row"):
            run_enqueued_jobs()

        assert (fresh(bad).state, fresh(good).state) == ("failed", "succeeded")

    def test_returns_what_failed_where_a_test_wants_to_see_it(self, does):
        def run(job, payload):
            leave_effect("undone")
            raise LookupError("no such row")

        does(run)
        enqueue(run_atomic, {})

        (ended,) = run_enqueued_jobs(raise_errors=False)
        assert (ended.state, ended.error) == ("failed", "LookupError: no such row")
        assert (ended.history.count(), effects()) == (4, 0)

    def test_ends_when_a_job_enqueues_itself_for_ever(self, does, monkeypatch):
        monkeypatch.setattr(testing, "JOBS_MAX", 5)
        does(lambda job, payload: enqueue(run_atomic, {}))
        enqueue(run_atomic, {})

        with pytest.raises(AssertionError, match="enqueue itself"):
            run_enqueued_jobs()

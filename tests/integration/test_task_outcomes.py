"""What a task may say of its attempt: come again then (`RetryAfter`), or not now (`NotNow`)."""

import pickle
from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.errors import NotNow, RetryAfter
from jobs.operations import cancel_job
from tests.deliveries import deliver
from tests.drills import (
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

BOTH = pytest.mark.parametrize("task", [run_atomic, run_freely])


@pytest.fixture
def raises(monkeypatch):
    """Let the drills leave an effect and raise this."""

    def raises(error):
        def run(job, payload):
            if job.type == run_atomic.name:
                leave_effect("undone")
            raise error

        monkeypatch.setattr(script, "run", run)

    return raises


def wait_of(job):
    return (fresh(job).run_at - timezone.now()).total_seconds()


def attempt(job):
    make_due(job)
    [message] = take()
    return deliver(message)


class TestNotNow:
    @BOTH
    def test_puts_the_job_back_and_spends_nothing(self, raises, task):
        raises(NotNow("its receiver rests", seconds=90))
        job = make_job(task)
        before = timezone.now()

        assert attempt(job) == "acknowledged: ignored"

        now = fresh(job)
        assert (now.state, now.failures, now.losses, now.attempts) == ("waiting", 0, 0, 0)
        assert now.run_at >= before + timedelta(seconds=90)
        assert (now.lease_until, now.error) == (None, "")
        assert (now.history.count(), effects()) == (0, 0)

    def test_may_be_said_for_ever(self, raises):
        raises(NotNow("its receiver rests", seconds=1))
        job = make_job()
        for _ in range(10):
            attempt(job)
        assert (fresh(job).state, fresh(job).failures) == ("waiting", 0)

    def test_keeps_the_failures_that_there_were(self, raises):
        job = make_job()
        raises(RuntimeError("once"))
        attempt(job)
        raises(NotNow("rests", seconds=1))
        attempt(job)
        raises(RuntimeError("again"))
        attempt(job)
        assert fresh(job).failures == 2
        assert abs(wait_of(job) - 20) < 5

    def test_without_a_rest_is_due_at_once(self, raises):
        raises(NotNow("rests", seconds=0))
        job = make_job()
        attempt(job)
        assert [message.id for message in take()] == [str(job.pk)]

    def test_stands_down_when_the_job_was_cancelled(self, monkeypatch):
        def run(job, payload):
            cancel_job(job_id=job.pk, by="ann")
            raise NotNow("rests", seconds=1)

        monkeypatch.setattr(script, "run", run)
        job = make_job(run_freely)
        assert attempt(job) == "acknowledged: ignored"
        assert fresh(job).state == "cancelled"


class TestRetryAfter:
    @BOTH
    def test_waits_as_long_as_it_says(self, raises, task):
        raises(RetryAfter("busy", seconds=300))
        job = make_job(task)
        assert attempt(job) == "acknowledged: retried"
        now = fresh(job)
        assert (now.state, now.failures, now.error) == ("retrying", 1, "RetryAfter: busy")
        assert abs(wait_of(job) - 300) < 5
        assert [end.error_type for end in now.history.all()] == ["RetryAfter"]
        assert effects() == 0

    def test_never_waits_less_than_usual(self, raises):
        raises(RetryAfter("busy", seconds=15))
        job = make_job()
        for seconds in (15, 20, 40):
            attempt(job)
            assert abs(wait_of(job) - seconds) < 5

    def test_spends_attempts_as_any_other_failure(self, raises):
        raises(RetryAfter("busy", seconds=1))
        job = make_job()
        answers = [attempt(job) for _ in range(4)]
        assert answers[-1] == "rejected: RetryAfter"
        assert (fresh(job).state, fresh(job).failures) == ("failed", 4)


@pytest.mark.parametrize("kind", [NotNow, RetryAfter])
class TestEither:
    def test_can_be_sent_from_a_child_to_its_parent(self, kind):
        again = pickle.loads(pickle.dumps(kind("busy", seconds=3)))
        assert (type(again), str(again)) == (kind, "busy")

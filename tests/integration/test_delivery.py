"""A delivery that is cut short: its worker stops, or its job is its own no more."""

import json
import uuid

import pytest
from django.db import OperationalError, transaction

from jobs import operations
from jobs.engine import lifecycle, stopping
from jobs.engine.message import Message
from jobs.engine.stopping import Interrupted
from jobs.models import Job
from tests.deliveries import deliver
from tests.drills import (
    effects,
    fresh,
    leave_effect,
    make_job,
    run_atomic,
    run_freely,
    script,
    take,
)

pytestmark = pytest.mark.django_db(transaction=True)

IGNORED = "acknowledged: ignored"


@pytest.fixture
def does(monkeypatch):
    return lambda run: monkeypatch.setattr(script, "run", run)


@pytest.fixture
def stopped(monkeypatch):
    """Let the worker have been told to stop before the message came."""
    monkeypatch.setattr(stopping._Child, "stopping", True)


def interrupt(job, payload):
    leave_effect("undone")
    raise Interrupted


class TestAStop:
    def test_hands_the_job_over_and_spends_nothing(self, does):
        does(interrupt)
        job = make_job()

        assert deliver(take()[0]) == IGNORED

        now = fresh(job)
        assert (now.state, now.failures, now.losses, effects()) == ("waiting", 0, 0, 0)
        assert [end.outcome for end in now.history.all()] == ["handed_over"]

    def test_keeps_the_jobs_place_before_what_was_stored_later(self, does):
        does(interrupt)
        job, _later = make_job(), make_job()
        (message,) = take(1)
        deliver(message)

        assert [again.id for again in take(1)] == [str(job.pk)]

    def test_rolls_back_what_the_fence_had_open(self, does):
        def run(job, payload):
            with job.succeeding():
                interrupt(job, payload)

        does(run)
        job = make_job(run_freely)

        assert deliver(take()[0]) == IGNORED
        assert (fresh(job).state, effects()) == ("waiting", 0)

    def test_leaves_what_has_settled(self, does):
        def run(job, payload):
            with job.succeeding():
                leave_effect("last")
            raise Interrupted

        does(run)
        job = make_job(run_freely)

        assert deliver(take()[0]) == IGNORED
        assert (fresh(job).state, effects("last")) == ("succeeded", 1)

    def test_gives_back_a_message_whose_job_it_has_not_claimed(self, stopped):
        job = make_job()

        assert deliver(take()[0]) == "requeued"
        assert (fresh(job).state, fresh(job).attempt) == ("queued", 0)

    def test_gives_back_a_message_of_another_program_that_has_no_row_yet(self, stopped):
        headers = {"task": run_atomic.name, "id": str(uuid.uuid4())}
        message = Message(headers["id"], 0, "jobs", "", headers, json.dumps([[], {}, {}]))

        assert deliver(message) == "requeued"
        assert not Job.objects.exists()

    def test_gives_the_message_back_while_the_database_is_away(self, does, monkeypatch):
        # Another worker takes the job over; nothing is dead-lettered for the database.
        def away(*_, **__):
            raise OperationalError("server closed the connection unexpectedly")

        does(interrupt)
        monkeypatch.setattr(lifecycle, "put_back", away)
        job = make_job()

        assert deliver(take()[0]) == "requeued"
        assert fresh(job).state == "running"


class TestAnInterruptedAttempt:
    def test_stands_down_when_the_job_was_cancelled(self, does):
        def run(job, payload):
            operations.cancel_job(job_id=job.pk, by="ann")
            raise Interrupted

        does(run)
        job = make_job(run_freely)

        assert deliver(take()[0]) == IGNORED
        assert fresh(job).state == "cancelled"

    @pytest.mark.parametrize("change", [{"attempt": 2}, {"dispatch": 2}, {"worker": "other:1"}])
    def test_stands_down_when_another_has_the_job(self, does, change):
        def run(job, payload):
            with transaction.atomic():
                Job.objects.filter(pk=job.pk).update(**change)
            raise Interrupted

        does(run)
        job = make_job(run_freely)

        assert deliver(take()[0]) == IGNORED
        assert fresh(job).state == "running"

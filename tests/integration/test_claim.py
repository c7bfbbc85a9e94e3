"""A claim decides which copy of a message runs its job: always one, never two."""

import json
import uuid
from datetime import timedelta
from functools import partial

import pytest
from django.db import OperationalError
from django.utils import timezone

from jobs.engine import claim, lifecycle
from jobs.engine.message import Message, from_job
from jobs.errors import NotThisTime
from jobs.models import Job
from jobs.states import JobState
from tests.deliveries import WORKER, at_once, deliver
from tests.drills import ACME, effects, fresh, leave_effect, make_job, run_atomic, script, take

pytestmark = pytest.mark.django_db(transaction=True)

IGNORED = "acknowledged: ignored"
REJECTED = "rejected"


@pytest.fixture(autouse=True)
def effect(monkeypatch):
    """Let each run leave an effect."""
    monkeypatch.setattr(script, "run", lambda job, payload: leave_effect("ran"))


def as_delivered(job, *, redelivered=False):
    """Return what a delivery of the job's current dispatch says of itself."""
    return claim.Message(job.pk, job.type, job.dispatch, redelivered, job.payload)


def foreign(**headers):
    """Return a message of another program: it knows no dispatch."""
    known = {"task": "drills.run_atomic", "id": str(uuid.uuid4()), "retries": 0, **headers}
    body = json.dumps([[], {"label": "abroad", "unknown": 1}, {}])
    return Message(known["id"], 0, "jobs", "jobs.drills.run_atomic", known, body)


class TestAQueuedJob:
    def test_is_given_to_the_worker_with_a_lease(self):
        job = make_job(state=JobState.QUEUED)

        mine = claim.claim(as_delivered(job), worker="first")

        now = fresh(job)
        assert (mine.pk, mine.state, mine.attempt) == (job.pk, "running", 1)
        assert (now.state, now.attempt, now.worker) == ("running", 1, "first")
        assert now.started_at
        assert now.lease_until == now.started_at + timedelta(seconds=60)

    def test_is_given_to_one_of_two_workers_at_once(self):
        for _ in range(10):
            job = make_job(state=JobState.QUEUED)

            delivery = as_delivered(job)
            answers = at_once(*[partial(claim.claim, delivery, worker="any")] * 3)

            assert [type(answer) for answer in answers].count(NotThisTime) == 2
            assert fresh(job).attempt == 1

    def test_runs_once_however_often_its_message_comes(self):
        job = make_job()
        (message,) = take()

        answers = [deliver(message) for _ in range(10)]

        assert answers == ["acknowledged", *[IGNORED] * 9]
        assert (fresh(job).attempt, effects("ran")) == (1, 1)


class TestAStaleMessage:
    def test_is_forgotten_when_the_job_was_handed_over_again(self):
        job = make_job(state=JobState.QUEUED)
        stale = from_job(job)
        Job.objects.filter(pk=job.pk).update(dispatch=2)

        assert deliver(stale) == IGNORED
        assert (fresh(job).state, effects()) == ("queued", 0)

    def test_is_forgotten_while_the_job_waits_for_its_next_turn(self):
        job = make_job(state=JobState.QUEUED)
        stale = from_job(job)
        lifecycle.put_back(job, "not confirmed")

        assert deliver(stale) == IGNORED
        assert (fresh(job).state, effects()) == ("waiting", 0)

    @pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
    def test_is_forgotten_when_the_job_has_settled(self, state):
        job = make_job(state=JobState.QUEUED)
        Job.objects.filter(pk=job.pk).update(state=state, dead_lettered_at=timezone.now())

        assert deliver(from_job(job)) == IGNORED
        assert deliver(from_job(job), redelivered=True) == IGNORED
        assert (fresh(job).state, fresh(job).attempt) == (state, 0)

    def test_is_the_dead_letter_of_a_failed_job_that_has_none(self):
        # Given a worker that settled its job and died before it rejected the message
        job = make_job(state=JobState.QUEUED)
        Job.objects.filter(pk=job.pk).update(state="failed")

        assert deliver(from_job(job), redelivered=True) == REJECTED
        assert (fresh(job).state, fresh(job).attempt) == ("failed", 0)

    def test_does_not_take_over_what_runs_in_a_later_dispatch(self):
        job = make_job(state=JobState.RUNNING, silent=True)
        stale = from_job(job)
        Job.objects.filter(pk=job.pk).update(dispatch=2)

        assert deliver(stale, redelivered=True) == IGNORED
        assert fresh(job).attempt == 1


class TestARunningJob:
    def test_keeps_running_when_a_duplicate_comes(self):
        job = make_job(state=JobState.RUNNING)

        assert deliver(from_job(job)) == IGNORED
        assert (fresh(job).attempt, fresh(job).losses, effects()) == (1, 0, 0)

    def test_is_taken_over_at_once_when_the_broker_says_that_its_worker_is_gone(self):
        job = make_job(state=JobState.RUNNING, worker="gone")

        assert deliver(from_job(job), redelivered=True) == "acknowledged"

        now = fresh(job)
        assert (now.state, now.attempt, now.losses, now.failures) == ("succeeded", 2, 1, 0)
        history = now.history.order_by("attempt").values_list("attempt", "outcome", "worker")
        assert [(*each[:2], each[2].partition(":")[0]) for each in history] == [
            (1, "lost", "gone"),
            (2, "succeeded", WORKER),
        ]

    def test_is_taken_over_by_a_copy_when_its_lease_is_over(self):
        job = make_job(state=JobState.RUNNING, silent=True)

        assert deliver(from_job(job)) == "acknowledged"
        assert (fresh(job).attempt, fresh(job).losses, effects("ran")) == (2, 1, 1)

    def test_is_taken_over_by_one_of_two_at_once(self):
        job = make_job(state=JobState.RUNNING)

        answers = at_once(*[lambda: deliver(from_job(job), redelivered=True)] * 2)

        # Whether the second loses the take-over, takes it over again, or comes when it has settled:
        assert sorted(answers) == ["acknowledged", IGNORED]
        assert (fresh(job).state, effects("ran")) == ("succeeded", 1)

    def test_fails_when_its_losses_are_spent(self):
        job = make_job(state=JobState.RUNNING, losses=10, worker="gone")

        assert deliver(from_job(job), redelivered=True) == REJECTED

        now = fresh(job)
        assert (now.state, now.losses, now.attempt) == ("failed", 11, 1)
        assert now.error == "LossesSpent: Its process died 11 times."
        assert [end.outcome for end in now.history.all()] == ["lost"]

    def test_is_its_own_claim_where_the_answer_was_lost(self, monkeypatch):
        # Given a connection that breaks after the claim was committed, before its answer
        commit = lifecycle.claim
        cut = [OperationalError("server closed the connection unexpectedly")]

        def claim_and_cut(*args, **options):
            job = commit(*args, **options)
            if cut:
                raise cut.pop()
            return job

        monkeypatch.setattr(lifecycle, "claim", claim_and_cut)
        job = make_job()
        (message,) = take()

        # Then the worker finds that the job is its own, and runs it
        assert deliver(message) == "acknowledged"
        assert (fresh(job).state, fresh(job).attempt, fresh(job).losses) == ("succeeded", 1, 0)

    def test_is_not_its_own_where_another_process_has_it(self, monkeypatch):
        monkeypatch.setattr(lifecycle, "claim", cut_once(lifecycle.claim))
        job = make_job(state=JobState.RUNNING, worker="another:1")

        assert deliver(from_job(job)) == IGNORED
        assert fresh(job).attempt == 1


def cut_once(action):
    faults = [OperationalError("server closed the connection unexpectedly")]

    def run(*args, **options):
        if faults:
            raise faults.pop()
        return action(*args, **options)

    return run


class TestAnExpiredJob:
    def test_fails_instead_of_running(self):
        job = make_job(state=JobState.QUEUED, expires_at=timezone.now() - timedelta(seconds=1))

        assert deliver(from_job(job)) == REJECTED

        now = fresh(job)
        assert (now.state, now.attempt, effects()) == ("failed", 0, 0)
        assert now.error.startswith("JobExpired: It expired at ")
        assert not now.history.exists()

    def test_runs_before_then(self):
        job = make_job(state=JobState.QUEUED, expires_at=timezone.now() + timedelta(hours=1))

        assert deliver(from_job(job)) == "acknowledged"
        assert fresh(job).state == "succeeded"


class TestAMessageWithoutARow:
    def test_is_forgotten_when_it_is_of_our_relay(self):
        job = make_job(state=JobState.QUEUED)
        Job.objects.filter(pk=job.pk).delete()

        assert deliver(from_job(job)) == IGNORED
        assert (Job.objects.count(), effects()) == (0, 0)

    def test_gets_one_when_it_is_of_another_program(self):
        message = foreign(tenant_id=str(ACME))

        assert deliver(message) == "acknowledged"

        job = Job.objects.get()
        assert (str(job.pk), job.state, job.dispatch) == (message.id, "succeeded", 0)
        assert (job.tenant_id, job.partition) == (ACME, f"jobs/{ACME}")
        assert job.payload == {"label": "abroad", "unknown": 1}

    def test_belongs_to_the_system_when_it_names_no_tenant(self):
        deliver(foreign())

        assert Job.objects.get().tenant_id == uuid.UUID(int=0)

    def test_runs_once_however_often_it_comes(self):
        message = foreign()

        answers = at_once(*[lambda: deliver(message)] * 4)

        assert sorted(answers) == ["acknowledged", *[IGNORED] * 3]
        assert effects("ran") == 1

    def test_is_missed_by_recovery_from_the_moment_it_has_one(self, monkeypatch):
        monkeypatch.setattr(lifecycle, "claim", cut_once(lifecycle.claim))
        message = foreign()
        claim_it = claim.Message(
            uuid.UUID(message.id), run_atomic.name, None, redelivered=False, payload={}
        )

        with pytest.raises(OperationalError):
            claim.claim(claim_it, worker="dies here")

        job = Job.objects.get()
        assert (job.state, job.queued_at is not None) == ("queued", True)

    def test_gets_one_to_fail_in_when_its_payload_does_not_fit(self):
        message = foreign()
        bad = Message(message.id, 0, "jobs", "", message.headers, '[[], {"label": 7}, {}]')

        assert deliver(bad) == "rejected: PayloadRefused"
        assert (Job.objects.get().state, Job.objects.get().failures) == ("failed", 1)

    @pytest.mark.parametrize(
        ("headers", "body", "fault"),
        [
            ({}, [[1], {}, {}], "PayloadRefused"),
            ({"id": "not a uuid"}, [[], {}, {}], "ValueError"),
            ({"tenant_id": "not a uuid"}, [[], {}, {}], "ValueError"),
        ],
    )
    def test_is_rejected_when_it_can_not_be_a_job(self, headers, body, fault):
        message = foreign(**headers)
        bad = Message(message.id, 0, "jobs", "", message.headers, json.dumps(body))

        assert deliver(bad) == f"rejected: {fault}"
        assert (Job.objects.count(), effects()) == (0, 0)

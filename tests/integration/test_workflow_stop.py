"""The jobs of a workflow that has ended: they are cancelled in batches, whoever is at work."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs.models import Job
from jobs.states import JobState
from jobs.workflows import operations, stopping
from tests import workflow_drills as drills
from tests.deliveries import at_once, deliver
from tests.drills import take

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("acts")]

BRANCHES = 25


@pytest.fixture
def ended(monkeypatch):
    """A workflow that was cancelled with so many branches waiting, and its jobs not yet."""
    monkeypatch.setattr(stopping, "BATCH_JOBS", 10)
    workflow = drills.reach(3, parts=BRANCHES)
    return operations.cancel_workflow(workflow_id=workflow.pk, by="ann")


def states(workflow):
    jobs = workflow.steps.filter(number=3).values("job_id")
    return list(Job.objects.filter(pk__in=jobs).values_list("state", flat=True).distinct())


class TestAStop:
    def test_cancels_all_jobs_and_says_how_many(self, ended):
        assert stopping.stop_steps(ended.pk) == BRANCHES
        assert states(ended) == [JobState.CANCELLED]
        assert stopping.stop_steps(ended.pk) == 0
        job = drills.job_of(ended, 3)
        assert (job.error, job.settled_at is not None) == (
            "Cancelled by its workflow, which has ended.", True,
        )  # fmt: skip

    def test_locks_the_jobs_of_a_batch_and_never_the_workflow(self, ended):
        with CaptureQueriesContext(
            connection,
        ) as made:
            stopping.stop_steps(ended.pk)

        locks = [each["sql"] for each in made if "FOR NO KEY UPDATE" in each["sql"]]
        assert len(locks) == 3
        assert all('FROM "jobs_job" ' in sql for sql in locks)

    def test_that_was_killed_midway_is_finished_by_the_next(self, ended, monkeypatch):
        real = stopping._cancel

        def die_later(ids, calls=[]):  # noqa: B006 - Counted over the calls.
            calls.append(ids)
            if len(calls) == 2:
                raise SystemExit
            return real(ids)

        with monkeypatch.context() as patch:
            patch.setattr(stopping, "_cancel", die_later)
            with pytest.raises(SystemExit):
                stopping.stop_steps(ended.pk)

        assert stopping.stop_steps(ended.pk) == BRANCHES - 10

    def test_meets_workers_and_another_stop_without_a_deadlock(self, monkeypatch):
        monkeypatch.setattr(stopping, "BATCH_JOBS", 10)
        workflow = drills.reach(3, parts=BRANCHES)
        messages = take()
        operations.cancel_workflow(workflow_id=workflow.pk, by="ann")

        answers = at_once(
            *[lambda message=message: deliver(message) for message in messages[:12]],
            *[lambda: stopping.stop_steps(workflow.pk)] * 2,
        )

        assert not [each for each in answers if isinstance(each, Exception)]
        assert states(workflow) == [JobState.CANCELLED]

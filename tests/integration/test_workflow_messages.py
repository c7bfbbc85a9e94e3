"""A step's message that comes twice, late, or to a worker that was given up for dead."""

import pytest

from jobs.models import Job
from jobs.workflows import operations
from tests import workflow_drills as drills
from tests.deliveries import deliver
from tests.drills import effects, leave_effect, take

pytestmark = pytest.mark.django_db

IGNORED = "acknowledged: ignored"


@pytest.fixture(autouse=True)
def acts():
    """What steps do instead of their own."""
    with drills.known() as script:
        yield script


class TestAMessage:
    @pytest.mark.parametrize("number", [1, 2, 3, 5])
    def test_that_comes_again_applies_its_step_once(self, number):
        workflow = drills.reach(number)
        messages = take()
        first = [deliver(message) for message in messages]
        after = (drills.fresh(workflow).step_number, drills.history(workflow), effects())

        again = [deliver(message, redelivered=True) for message in messages]

        assert set(first) == {"acknowledged"}
        assert set(again) == {IGNORED}
        assert (drills.fresh(workflow).step_number, drills.history(workflow), effects()) == after

    def test_that_comes_after_the_end_does_nothing(self):
        workflow = drills.start()
        (message,) = take()
        operations.cancel_workflow(workflow_id=workflow.pk, by="ann")

        assert deliver(message) == IGNORED

        assert (drills.job_of(workflow, 1).state, effects()) == ("cancelled", 0)
        assert Job.objects.get(pk=message.id).error == "Cancelled by its workflow, which has ended."

    def test_of_a_workflow_that_was_deleted_does_nothing(self):
        workflow = drills.start()
        (message,) = take()
        workflow.delete()

        assert deliver(message) == IGNORED
        assert "which was deleted" in Job.objects.get(pk=message.id).error

    def test_of_a_zombie_that_has_done_its_step_leaves_no_effect(self, acts):
        # Given a worker whose job is given to another attempt while it works
        def run(step_run):
            leave_effect("late")
            Job.objects.filter(pk=step_run.job.pk).update(attempt=2)

        acts["prepare"] = run
        workflow = drills.start()

        assert drills.deliver_due() == [IGNORED]
        assert (drills.statuses(workflow), effects("late")) == (["waiting"], 0)

"""Timers that several processes look at, fire or set at the same moment, in threads."""

import pytest

from jobs.models import Job
from jobs.testing import run_enqueued_jobs
from jobs.workflows import operations
from jobs.workflows.timers import enqueue_due_timers
from tests import workflow_drills as drills
from tests.deliveries import at_once, deliver
from tests.drills import effects, take

pytestmark = pytest.mark.django_db(transaction=True)

IGNORED = "acknowledged: ignored"


@pytest.fixture(autouse=True)
def acts():
    """What steps do instead of their own."""
    with drills.known() as script:
        yield script


def delivering(messages):
    return [lambda message=message: deliver(message) for message in messages]


class TestATimer:
    def test_is_enqueued_once_by_sweeps_at_once(self):
        workflows = [drills.start(drills.WAIT) for _ in range(20)]
        for workflow in workflows:
            drills.let_it_be_due(workflow, "timeout")

        enqueued = at_once(*[enqueue_due_timers] * 6)

        assert sum(enqueued) == 20
        fires = Job.objects.filter(type="workflows.fire_timer").values_list("payload", flat=True)
        ids = [payload["workflow_id"] for payload in fires]
        assert sorted(ids) == sorted(str(workflow.pk) for workflow in workflows)

    def test_fires_once_whoever_has_its_message(self):
        workflow = drills.start(drills.WAIT)
        drills.let_it_be_due(workflow, "timeout")
        enqueue_due_timers()

        answers = at_once(*delivering(take() * 4))

        assert sorted(answers) == ["acknowledged", *[IGNORED] * 3]
        assert (effects("timeout"), drills.fresh(workflow).status) == (1, "timeout")

    @pytest.mark.parametrize("turn", range(3))
    def test_and_the_last_step_at_the_same_moment_agree(self, turn):
        workflow = drills.reach(5)
        drills.let_it_be_due(workflow, "timeout")
        enqueue_due_timers()

        at_once(*delivering(take()))
        run_enqueued_jobs()

        status = drills.fresh(workflow).status
        assert (status, drills.step(workflow, 5).status) in (
            ("completed", "done"),
            ("timeout", "cancelled"),
        )
        assert effects("close") == (status == "completed")
        drills.assert_never_back(workflow)

    def test_set_anew_while_it_fires_stands_as_set(self):
        workflow = drills.start(drills.WAIT)
        operations.set_timer(workflow_id=workflow.pk, name="remind", due_at=drills.moment())
        enqueue_due_timers()
        (message,) = take()
        later = drills.moment(hours=1)

        at_once(
            lambda: deliver(message),
            lambda: operations.set_timer(workflow_id=workflow.pk, name="remind", due_at=later),
        )

        assert drills.timer(workflow, "remind").due_at == later
        assert drills.timer(workflow, "remind").enqueued_at is None
        assert effects("remind") <= 1

"""
Workflows on SQLite, where the embedded profile keeps them.

A run on PostgreSQL leaves this module out; tests/integration/test_on_sqlite.py runs it then.
"""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.errors import GiveUp
from jobs.models import Workflow
from jobs.testing import run_enqueued_jobs
from jobs.workflows import operations
from jobs.workflows.errors import StepOutOfOrder, WorkflowEnded, WorkflowKeyInUse
from jobs.workflows.retention import delete_expired_workflows
from jobs.workflows.timers import enqueue_due_timers
from tests import workflow_drills as drills
from tests.deliveries import deliver
from tests.drills import ACME, effects, on_postgres, take

if on_postgres():
    pytest.skip("tests/integration/test_on_sqlite.py runs it", allow_module_level=True)

pytestmark = pytest.mark.django_db

IGNORED = "acknowledged: ignored"


@pytest.fixture(autouse=True)
def acts():
    """What steps and timers do instead of their own."""
    with drills.known() as script:
        yield script


class TestAWorkflow:
    def test_does_each_kind_of_step_and_is_completed(self):
        workflow = drills.reach(4)
        drills.approve_with(workflow, 10, word="yes")
        run_enqueued_jobs()

        now = drills.fresh(workflow)
        assert (now.status, now.percent, now.state["total"]) == ("completed", 100, 111)
        assert drills.step(workflow, 5).output == {"converted": [0, 1, 2]}
        drills.assert_never_back(workflow)

    def test_applies_a_step_once_however_often_its_message_comes(self):
        drills.start()
        (message,) = take()

        assert [deliver(message), deliver(message)] == ["acknowledged", IGNORED]
        assert effects("prepare") == 1

    def test_fails_with_its_step_and_leaves_no_effect(self, acts):
        acts["prepare"] = drills.fault
        workflow = drills.start()
        assert drills.waits_of(drills.job_of(workflow, 1)) == [10, 20, 40]

        assert (drills.fresh(workflow).status, effects("undone")) == ("failed", 0)
        assert drills.step(workflow, 1).attempts == 4

    def test_stops_the_other_branches_of_one_that_fails(self, acts):
        def run(step_run):
            raise GiveUp("bad part")

        acts["convert"] = run
        workflow = drills.reach(3)
        run_enqueued_jobs(raise_errors=False)

        assert drills.fresh(workflow).status == "failed"
        assert drills.live_jobs() == 0

    def test_goes_on_from_a_step(self):
        workflow = drills.reach(4)
        operations.cancel_workflow(workflow_id=workflow.pk, by="ann")

        new = operations.restart_workflow(workflow_id=workflow.pk, by="ann", tenant_id=ACME)
        drills.approve_with(new)
        run_enqueued_jobs()

        assert drills.fresh(new).status == "completed"

    def test_refuses_what_can_not_be(self):
        workflow = drills.start(key="report-7")

        with pytest.raises(WorkflowKeyInUse):
            drills.start(key="report-7")
        with pytest.raises(StepOutOfOrder):
            drills.approve_with(workflow)
        operations.cancel_workflow(workflow_id=workflow.pk, by="ann")
        with pytest.raises(WorkflowEnded):
            drills.approve_with(workflow)


class TestATimer:
    def test_ends_a_workflow_at_its_deadline_once(self):
        workflow = drills.start(drills.WAIT)
        left = drills.timer(workflow, "timeout").due_at - timezone.now()
        assert left.total_seconds() == pytest.approx(1_800, abs=30)

        assert drills.fire(workflow, "timeout") == ["acknowledged"]
        assert enqueue_due_timers() == 0
        assert (drills.fresh(workflow).status, effects("timeout")) == ("timeout", 1)

    def test_set_anew_while_its_job_waits_is_nothing_the_first_time(self):
        workflow = drills.start(drills.WAIT)
        for due_at in (drills.moment(seconds=-1), drills.moment(hours=1)):
            operations.set_timer(workflow_id=workflow.pk, name="remind", due_at=due_at)
            enqueue_due_timers()

        assert drills.deliver_due() == [IGNORED]
        assert effects("remind") == 0
        assert drills.fire(workflow, "remind") == ["acknowledged"]
        assert effects("remind") == 1


class TestRetention:
    def test_takes_what_ended_long_ago(self, settings):
        workflow = drills.start()
        operations.cancel_workflow(workflow_id=workflow.pk, by="ann")
        late = timezone.now() + timedelta(days=settings.JOBS_WORKFLOWS_KEEP_DAYS, hours=1)

        assert delete_expired_workflows(now=late) == 1
        assert not Workflow.objects.exists()

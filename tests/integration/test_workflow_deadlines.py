"""The deadline: it ends what was not done in time, once, whatever its handler does."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from jobs import operations as job_operations
from jobs.models import Alert, DeadLetter, Job, WorkflowTimer
from jobs.states import JobState
from jobs.testing import run_enqueued_jobs
from jobs.workflows import operations
from jobs.workflows.errors import DeadlineKept
from jobs.workflows.timers import deadline_of, enqueue_due_timers
from tests import workflow_drills as drills
from tests.drills import ACME, effects, leave_effect, make_due

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("acts")]

IGNORED = "acknowledged: ignored"


@pytest.fixture
def waiting():
    """A workflow that waits for somebody."""
    return drills.start(drills.WAIT)


def fault(_):
    leave_effect("undone")
    raise RuntimeError("no bell")


class TestADeadline:
    def test_is_thirty_minutes_from_the_start_unless_said(self):
        usual, own = drills.start(), drills.start(deadline=timedelta(hours=2))

        for workflow, minutes in ((usual, 30), (own, 120)):
            left = drills.timer(workflow, "timeout").due_at - timezone.now()
            assert left.total_seconds() == pytest.approx(minutes * 60, abs=30)

    def test_marks_the_workflow_and_runs_its_handler_once(self, waiting):
        assert drills.fire(waiting, "timeout") == ["acknowledged"]
        enqueue_due_timers()
        run_enqueued_jobs()

        now = drills.fresh(waiting)
        assert (now.status, now.error) == ("timeout", "Step 1 was not done in time.")
        assert now.ended_at is not None
        assert effects("timeout") == 1
        assert drills.history(waiting) == ["started", "timeout"]

    def test_alerts_the_operator(self, waiting):
        drills.fire(waiting, "timeout")

        alert = Alert.objects.get(kind="workflow_timeout")
        assert alert.message == "Workflow drills.wait timed out at step 1"
        assert alert.data["workflow_id"] == str(waiting.pk)
        assert (alert.data["step_number"], alert.data["tenant_id"]) == (1, str(ACME))

    def test_tells_who_asked_for_it(self, settings):
        ann = uuid.uuid4()
        workflow = drills.start(drills.WAIT, user_id=ann)
        drills.fire(workflow, "timeout")

        told = Job.objects.get(type=settings.JOBS_ANNOUNCE_TASK)
        assert (told.tenant_id, told.user_id) == (ACME, ann)
        assert told.payload["event_type"] == "workflow.timed_out"
        assert told.payload["data"]["workflow_id"] == str(workflow.pk)

    def test_stops_what_waits(self):
        workflow = drills.reach(3)
        drills.let_it_be_due(workflow, "timeout")
        enqueue_due_timers()
        fires = Job.objects.filter(type="workflows.fire_timer")
        Job.objects.filter(state=JobState.WAITING).exclude(pk__in=fires).update(
            run_at=drills.moment(minutes=1)
        )
        assert drills.deliver_due() == ["acknowledged"]
        run_enqueued_jobs()

        assert drills.statuses(workflow)[2:] == ["cancelled"] * 3
        assert {drills.job_of(workflow, 3, branch).state for branch in range(3)} == {"cancelled"}
        assert (drills.live_jobs(), DeadLetter.objects.count()) == (0, 0)

    def test_keeps_what_its_handler_makes_of_the_state(self, waiting, acts):
        acts["timeout"] = lambda run: run.state.words.append("late")
        drills.fire(waiting, "timeout")

        assert drills.fresh(waiting).state["words"] == ["late"]

    def test_needs_no_handler(self):
        workflow = drills.reach(4)
        drills.fire(workflow, "timeout")

        assert drills.fresh(workflow).error == "Step 4 was not done in time."

    def test_after_the_end_is_nothing(self, waiting):
        drills.let_it_be_due(waiting, "timeout")
        enqueue_due_timers()
        operations.send_step(workflow_id=waiting.pk, number=1, data={"amount": 1}, tenant_id=ACME)

        assert drills.deliver_due() == [IGNORED]
        assert (drills.fresh(waiting).status, effects("timeout")) == ("completed", 0)
        assert (drills.timer_job().state, Alert.objects.count()) == ("cancelled", 0)
        assert not WorkflowTimer.objects.exists()

    def test_whose_handler_fails_for_good_ends_the_workflow_all_the_same(self, waiting, acts):
        acts["timeout"] = fault
        drills.fire(waiting, "timeout")
        assert (drills.fresh(waiting).status, drills.timer_job().state) == (
            "processing", "retrying",
        )  # fmt: skip
        drills.fail_for_good(drills.timer_job())

        now = drills.fresh(waiting)
        assert (now.status, effects("undone")) == ("timeout", 0)
        assert now.error == "Step 1 was not done in time. Timer timeout: RuntimeError: no bell"
        assert drills.timer_job().failures == 4
        assert Alert.objects.filter(kind="workflow_timeout").count() == 1

    def test_whose_handler_fails_once_fires_once(self, waiting, acts):
        acts["timeout"] = fault
        drills.fire(waiting, "timeout")
        acts.clear()
        make_due(drills.timer_job())

        assert drills.deliver_due() == ["acknowledged"]
        assert (drills.fresh(waiting).status, effects("timeout"), effects("undone")) == (
            "timeout", 1, 0,
        )  # fmt: skip

    def test_can_be_moved(self, waiting):
        later = drills.set_timer(waiting, "timeout")

        assert deadline_of(waiting) == later
        drills.set_timer(waiting, "timeout", drills.moment(seconds=-1))
        enqueue_due_timers()
        drills.deliver_due()
        assert drills.fresh(waiting).status == "timeout"

    def test_can_not_be_cancelled(self, waiting):
        with pytest.raises(DeadlineKept, match="can be moved, not cancelled"):
            drills.cancel_timer(waiting, "timeout")

        assert deadline_of(waiting)

    def test_whose_job_is_cancelled_by_hand_ends_the_workflow_all_the_same(self, waiting):
        drills.let_it_be_due(waiting, "timeout")
        enqueue_due_timers()
        job_operations.cancel_job(job_id=drills.timer_job().pk, by="eve")

        now = drills.fresh(waiting)
        assert (now.status, effects("timeout")) == ("timeout", 0)
        assert now.error.endswith("Timer timeout: Cancelled by eve.")

    def test_of_a_dropped_definition_ends_the_workflow_in_the_end(self, waiting):
        from jobs.workflows import registry

        registry.forget(drills.WAIT)
        drills.fire(waiting, "timeout")
        drills.fail_for_good(drills.timer_job())

        assert drills.fresh(waiting).status == "timeout"

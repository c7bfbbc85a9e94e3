"""
Steps beside what Cloudflare publishes of its own: each row in docs/workflows.md has one test here.
"""

import pytest
from celery import current_app
from django.db import IntegrityError

from jobs.errors import GiveUp
from jobs.models import WorkflowStep
from jobs.testing import run_enqueued_jobs
from jobs.workflows import operations
from jobs.workflows.errors import NotRestartable, WorkflowEnded, WorkflowKeyInUse
from tests import workflow_drills as drills
from tests.deliveries import at_once, deliver
from tests.drills import ACME, effects, take

pytestmark = pytest.mark.django_db(transaction=True)

IGNORED = "acknowledged: ignored"


@pytest.fixture(autouse=True)
def acts():
    """What steps and timers do instead of their own."""
    with drills.known() as script:
        yield script


class TestLikeAStep:
    def test_is_retried_alone(self, acts):
        acts["fetch"] = lambda run: drills.fault(run) if run.attempt == 1 else {"fetched": 1}
        drills.start()
        run_enqueued_jobs()

        assert effects("prepare") == 1

    def test_is_retried_after_longer_and_longer_waits(self, acts):
        acts["prepare"] = drills.fault

        assert drills.waits_of(drills.job_of(drills.start(), 1)) == [10, 20, 40]

    def test_is_told_its_attempt(self, acts):
        seen = []

        def run(step_run):
            seen.append(step_run.attempt)
            raise RuntimeError

        acts["prepare"] = run
        drills.fail_for_good(drills.job_of(drills.start(), 1))

        assert seen == [1, 2, 3, 4]

    def test_may_say_how_often_it_is_retried(self, acts):
        acts["close"] = drills.fault

        assert drills.waits_of(drills.job_of(drills.reach(5), 5)) == [10]

    def test_may_say_how_long_it_may_take(self):
        assert current_app.tasks["drills.fetch_parts"].soft_time_limit == 30

    def test_whose_retries_are_spent_fails_the_workflow(self, acts):
        acts["prepare"] = drills.fault
        workflow = drills.start()
        drills.fail_for_good(drills.job_of(workflow, 1))

        now = drills.fresh(workflow)
        assert (now.status, now.error) == (
            "failed", "Step 1, drills.prepare_assembly: RuntimeError: fault",
        )  # fmt: skip

    def test_that_gives_up_fails_the_workflow_at_once(self, acts):
        def run(_):
            raise GiveUp("no such part")

        acts["prepare"] = run
        workflow = drills.start()
        job = drills.job_of(workflow, 1)

        assert (drills.waits_of(job), drills.fresh(workflow).status) == ([], "failed")

    def test_that_is_repeated_returns_what_was_stored(self):
        workflow = drills.reach(4)
        first, again = drills.approve_with(workflow, 10), drills.approve_with(workflow, 20)

        assert first.output == again.output
        assert effects("approve") == 1

    def test_whose_worker_died_begins_anew_and_applies_once(self):
        workflow = drills.start()
        (message,) = take()
        drills.die(drills.job_of(workflow, 1), message)

        assert drills.deliver_due() == ["acknowledged"]
        assert deliver(message) == IGNORED
        assert (effects("prepare"), drills.step(workflow, 1).attempts) == (1, 2)

    def test_finds_in_another_process_what_earlier_ones_returned(self, acts):
        seen = []
        acts["close"] = lambda run: seen.append((run.output_of(2), run.state.total))
        workflow = drills.reach(5)
        (message,) = take()

        at_once(lambda: deliver(message))

        assert seen == [({"fetched": 3}, 11)]
        assert drills.fresh(workflow).status == "completed"

    def test_is_stored_once_under_its_number_and_branch(self):
        row = drills.step(drills.start(), 1)
        row.pk, row._state.adding = None, True

        with pytest.raises(IntegrityError, match="jobs_one_row_per_step_and_branch"):
            row.save()
        assert WorkflowStep.objects.count() == 1

    def test_does_not_keep_what_it_changes_of_its_input(self, acts):
        def run(step_run):
            step_run.input["part"] = 999
            return {"converted": step_run.branch}

        acts["convert"] = run
        workflow = drills.reach(4)

        inputs = [drills.step(workflow, 3, branch).input for branch in range(3)]
        assert [each["part"] for each in inputs] == [0, 1, 2]

    def test_beside_others_is_waited_for_with_them(self):
        workflow = drills.reach(3)
        *most, last = take()

        for message in most:
            deliver(message)
        assert drills.fresh(workflow).step_number == 3
        deliver(last)
        assert drills.fresh(workflow).step_number == 4

    def test_whose_result_can_not_be_stored_fails_the_workflow(self, acts):
        acts["prepare"] = lambda run: {"part": object()}
        workflow = drills.start()
        drills.deliver_due()

        now = drills.fresh(workflow)
        assert (now.status, "not JSON serializable" in now.error) == ("failed", True)

    def test_whose_result_is_too_large_fails_the_workflow(self, acts):
        acts["prepare"] = lambda run: {"contents": "x" * 1_048_576}
        workflow = drills.start()
        drills.deliver_due()

        now = drills.fresh(workflow)
        assert (now.status, "at most 1048576 are stored" in now.error) == ("failed", True)

    def test_that_nobody_sends_ends_with_the_deadline(self):
        workflow = drills.reach(4)
        drills.fire(workflow, "timeout")

        assert drills.fresh(workflow).status == "timeout"
        assert drills.step(workflow, 4).status == "cancelled"

    def test_is_not_done_again_by_a_restart_from_a_later_one(self):
        workflow = drills.reach(4)
        operations.cancel_workflow(workflow_id=workflow.pk, by="ann")
        again = operations.restart_workflow(workflow_id=workflow.pk, by="ann", from_step=2)
        run_enqueued_jobs()

        assert drills.statuses(again) == [*["done"] * 5, "waiting"]
        assert drills.step(again, 1).output == drills.step(workflow, 1).output
        assert effects("prepare") == 1

    def test_that_never_began_is_no_start_of_a_restart(self):
        workflow = drills.reach(2)
        operations.cancel_workflow(workflow_id=workflow.pk, by="ann")

        with pytest.raises(NotRestartable, match="can go on from steps 1 to 2"):
            operations.restart_workflow(workflow_id=workflow.pk, by="ann", from_step=3)

    def test_of_a_workflow_that_has_ended_leads_nowhere(self):
        workflow = drills.reach(4)
        operations.cancel_workflow(workflow_id=workflow.pk, by="ann")

        with pytest.raises(WorkflowEnded, match="is cancelled"):
            drills.approve_with(workflow)
        with pytest.raises(WorkflowEnded, match="is cancelled"):
            operations.cancel_workflow(workflow_id=workflow.pk, by="bob")
        assert drills.history(workflow)[-1] == "cancelled"

    def test_may_belong_to_a_second_workflow_of_its_key_after_the_end(self):
        workflow = drills.start(key="report-7")
        with pytest.raises(WorkflowKeyInUse):
            drills.start(key="report-7")
        operations.cancel_workflow(workflow_id=workflow.pk, by="ann")

        assert drills.step(drills.start(key="report-7"), 1).status == "waiting"

    @pytest.mark.parametrize("gives_up", [True, False], ids=["failed", "cancelled"])
    def test_of_a_workflow_that_has_ended_is_not_begun(self, acts, gives_up):
        def give_up(_):
            raise GiveUp("no such part")

        workflow = drills.reach(3)
        if gives_up:
            acts["convert"] = give_up
        else:
            operations.cancel_workflow(workflow_id=workflow.pk, by="ann", tenant_id=ACME)
        drills.deliver_due()
        acts.clear()
        run_enqueued_jobs()

        first, *others = drills.statuses(workflow)[2:]
        assert first == ("failed" if gives_up else "cancelled")
        assert others == ["cancelled"] * 2
        assert drills.fresh(workflow).step_number == 3

"""Each kind of step: what it is given, what it may change, and what the next one finds."""

import pytest
from django.db import transaction

from jobs import operations as job_operations
from jobs.errors import GiveUp, MoveRefused
from jobs.models import Job, Workflow
from jobs.testing import run_enqueued_jobs
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


class TestAWorkflow:
    def test_does_its_steps_in_order_and_is_completed(self):
        workflow = drills.reach(4)
        drills.approve_with(workflow, 10)
        run_enqueued_jobs()

        now = drills.fresh(workflow)
        assert (now.status, now.percent, now.step_number, now.error) == ("completed", 100, 6, "")
        assert now.ended_at is not None
        assert set(drills.statuses(workflow)) == {"done"}
        assert drills.history(workflow) == [
            "started", *(f"step {number} done" for number in range(1, 6)), "completed",
        ]  # fmt: skip
        assert not workflow.timers.exists()

    def test_is_rolled_back_with_the_transaction_it_was_started_in(self):
        with transaction.atomic():
            drills.start()
            transaction.set_rollback(True)

        assert not Workflow.objects.exists()
        assert not Job.objects.exists()

    def test_keeps_its_state_as_its_model_has_it(self):
        workflow = drills.reach(5, parts=2)

        state = drills.assemble.state.model_validate(drills.fresh(workflow).state)
        assert (state.parts, state.total, state.words) == (2, 11, [""])
        assert drills.fresh(workflow).initial_state == {"parts": 2, "total": 0, "words": []}

    def test_has_the_version_of_the_definition_that_it_began_with(self):
        assert (drills.start().version, drills.start(drills.WAIT).version) == (1, 3)

    def test_is_told_of_by_its_hook_when_it_ends(self, acts):
        acts["ended"] = lambda workflow: leave_effect(f"ended {workflow.status}")

        workflow = drills.reach(5)
        run_enqueued_jobs()

        assert drills.fresh(workflow).status == "completed"
        assert effects("ended completed") == 1


class TestAnAtomicStep:
    def test_commits_its_effects_and_state_with_its_record(self):
        workflow = drills.start()
        run_enqueued_jobs()

        done = drills.step(workflow, 1)
        assert (done.status, done.output, done.attempts) == ("done", {"parts": 3}, 1)
        assert (done.state["total"], effects("prepare")) == (1, 1)
        assert done.started_at <= done.ended_at

    def test_that_fails_after_its_effect_leaves_neither(self, acts):
        def run(step_run):
            leave_effect("undone")
            step_run.state.total = 999
            raise RuntimeError

        acts["prepare"] = run
        workflow = drills.start()
        drills.deliver_due()

        assert (drills.statuses(workflow), effects("undone")) == (["waiting"], 0)
        assert drills.fresh(workflow).state["total"] == 0

    def test_whose_record_fails_leaves_no_effect(self, acts):
        # Given a next step whose branches can't be told
        def run(_):
            raise RuntimeError("no branches")

        acts["branches"] = run
        workflow = drills.reach(2)
        acts["fetch"] = lambda step_run: {"fetched": 1}
        drills.fail_for_good(drills.job_of(workflow, 2))

        now = drills.fresh(workflow)
        assert (now.status, now.step_number) == ("failed", 2)
        assert "no branches" in now.error

    def test_knows_what_the_steps_before_have_returned(self, acts):
        seen = []
        acts["close"] = lambda run: seen.append((run.output_of(1), run.outputs_of(3)))

        drills.reach(5)
        run_enqueued_jobs()

        assert seen == [({"parts": 3}, [{"converted": number} for number in range(3)])]

    def test_may_return_a_model(self, acts):
        acts["prepare"] = lambda run: drills.Approval(amount=7)
        workflow = drills.reach(2)

        assert drills.step(workflow, 1).output == {"amount": 7, "word": ""}


class TestALongStep:
    def test_stores_its_output_and_no_change_of_the_state(self, acts):
        def run(step_run):
            step_run.state.total = 999
            return {"fetched": 1}

        acts["fetch"] = run
        workflow = drills.reach(3)

        assert drills.step(workflow, 2).output == {"fetched": 1}
        assert drills.fresh(workflow).state["total"] == 1

    def test_shows_how_far_it_is_while_it_runs(self, acts):
        seen = []

        def run(step_run):
            for done in (3, 7):
                step_run.show(done, 10)
                row = drills.step(step_run.workflow, 2)
                seen.append((row.status, row.progress_done, row.progress_total))

        acts["fetch"] = run
        drills.reach(3)

        assert seen == [("running", 3, 10), ("running", 7, 10)]

    def test_holds_no_lock_while_it_works(self, acts):
        acts["fetch"] = lambda run: operations.cancel_workflow(
            workflow_id=run.workflow.pk, by="ann"
        )
        workflow = drills.reach(2)

        assert drills.deliver_due() == [IGNORED]
        assert drills.fresh(workflow).status == "cancelled"

    def test_is_told_at_its_next_sign_of_progress_that_its_job_is_not_its_own(self, acts):
        def run(step_run):
            job_operations.cancel_job(job_id=step_run.job.pk, by="ann")
            with pytest.raises(MoveRefused):
                step_run.show(1, 2)
            leave_effect("told")

        acts["fetch"] = run
        workflow = drills.reach(2)

        assert drills.deliver_due() == [IGNORED]
        assert (effects("told"), drills.step(workflow, 2).progress_done) == (1, 0)


class TestAParallelStep:
    def test_gives_each_branch_its_own_input_and_number(self, acts):
        acts["convert"] = lambda run: {"branch": run.branch, "input": run.input}
        workflow = drills.reach(4)

        outputs = (
            workflow.steps.filter(number=3).order_by("branch").values_list("output", flat=True)
        )
        assert list(outputs) == [{"branch": n, "input": {"part": n}} for n in range(3)]

    def test_is_joined_once_all_branches_are_done_in_whichever_order(self):
        workflow = drills.reach(3)
        messages = sorted(take(), key=lambda message: message.id, reverse=True)

        steps = []
        for message in messages:
            deliver(message)
            steps.append(drills.fresh(workflow).step_number)

        assert steps == [3, 3, 4]
        assert drills.history(workflow).count("step 3 done") == 1
        drills.approve_with(workflow)
        run_enqueued_jobs()
        assert drills.step(workflow, 5).output == {"converted": [0, 1, 2]}

    def test_that_fails_in_one_branch_fails_the_workflow_and_stops_the_others(self, acts):
        def run(step_run):
            if step_run.branch == 1:
                raise GiveUp("bad part")
            return {"converted": step_run.branch}

        acts["convert"] = run
        workflow = drills.reach(3)
        first, second, third = (drills.job_of(workflow, 3, branch) for branch in range(3))
        (message,) = [each for each in take() if each.id == str(second.pk)]
        lifecycle_of_others = (first, third)

        assert deliver(message).startswith("rejected")
        run_enqueued_jobs()

        now = drills.fresh(workflow)
        assert (now.status, now.error) == (
            "failed", "Step 3, drills.convert_part: GiveUp: bad part",
        )  # fmt: skip
        assert drills.statuses(workflow) == ["done", "done", "cancelled", "failed", "cancelled"]
        states = [Job.objects.get(pk=job.pk).state for job in lifecycle_of_others]
        assert states == ["cancelled", "cancelled"]

    def test_without_a_branch_is_nothing_to_wait_for(self):
        workflow = drills.reach(4, parts=0)
        drills.approve_with(workflow)
        run_enqueued_jobs()

        assert drills.fresh(workflow).status == "completed"
        assert not workflow.steps.filter(number=3).exists()
        assert drills.step(workflow, 5).output == {"converted": []}

    def test_counts_its_branches_in_the_percent(self):
        workflow = drills.reach(3)
        percents = [drills.fresh(workflow).percent]
        for message in take():
            deliver(message)
            percents.append(drills.fresh(workflow).percent)

        assert percents == [40, 46, 53, 60]


class TestASynchronousStep:
    def test_runs_with_what_it_is_sent_and_keeps_it(self):
        workflow = drills.reach(4)

        done = drills.approve_with(workflow, 10, word="yes")

        assert (done.status, done.output, done.attempts) == ("done", {"total": 11}, 1)
        assert (done.input, done.job_id) == ({"amount": 10, "word": "yes"}, None)
        assert drills.fresh(workflow).step_number == 5

    def test_that_fails_leaves_nothing_and_may_be_sent_again(self, acts):
        def run(_):
            leave_effect("undone")
            raise RuntimeError

        acts["approve"] = run
        workflow = drills.reach(4)
        with pytest.raises(RuntimeError):
            drills.approve_with(workflow)
        waits = drills.step(workflow, 4)
        assert (waits.status, waits.input, waits.attempts) == ("waiting", None, 0)
        assert effects("undone") == 0

        acts.clear()
        assert drills.approve_with(workflow).output == {"total": 11}

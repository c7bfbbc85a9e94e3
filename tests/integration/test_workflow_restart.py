"""A restart: a new workflow that goes on from a step, with what the steps before have brought."""

from datetime import timedelta

import pytest

from jobs.errors import GiveUp
from jobs.models import DeadLetter, Workflow
from jobs.testing import run_enqueued_jobs
from jobs.workflows import operations
from jobs.workflows.errors import NotRestartable, UnknownWorkflow, WorkflowKeyInUse
from jobs.workflows.registry import get_definition
from tests import workflow_drills as drills
from tests.drills import ACME, GLOBEX, effects, leave_effect

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def acts():
    """What steps do instead of their own."""
    with drills.known() as script:
        yield script


@pytest.fixture
def failed(acts):
    """A workflow whose last step failed for good; its fault is mended since."""

    def run(_):
        raise GiveUp("out of paper")

    acts["close"] = run
    workflow = drills.reach(5)
    run_enqueued_jobs(raise_errors=False)
    del acts["close"]
    return drills.fresh(workflow)


def restart(workflow, **options):
    return operations.restart_workflow(
        workflow_id=workflow.pk, by="ann", **{"tenant_id": ACME, **options}
    )


def restart_of(workflow):
    return Workflow.objects.get(restart_of=workflow)


class TestARestart:
    def test_goes_on_from_the_failed_step_and_keeps_the_results(self, failed):
        new = restart(failed)
        assert drills.statuses(new) == [*["done"] * 6, "waiting"]
        run_enqueued_jobs()

        now = drills.fresh(new)
        assert (now.status, now.percent, now.state["total"]) == ("completed", 100, 111)
        assert drills.step(new, 5).output == {"converted": [0, 1, 2]}
        assert (effects("prepare"), effects("approve"), effects("close")) == (1, 1, 1)

    def test_closes_the_dead_letter_of_the_failed_step(self, failed):
        job = drills.job_of(failed, 5)
        letter = DeadLetter.objects.create(death=f"{job.pk}:1", job=job, body=b"", reason="failed")

        restart(failed)

        letter.refresh_from_db()
        assert (letter.state, letter.handled_by) == ("replayed", "ann")

    def test_begins_with_no_later_step_than_the_definition_says(self, failed, monkeypatch):
        monkeypatch.setattr(get_definition(drills.ASSEMBLE), "last_restart", 3)
        monkeypatch.setattr(get_definition(drills.ASSEMBLE), "keeps", lambda rows: {0, 2})

        new = drills.fresh(restart(failed))

        assert new.step_number == 3
        assert drills.statuses(new) == ["done", "done", "done", "waiting", "done"]

    def test_leaves_the_old_one_as_it_ended(self, failed):
        new = restart(failed)
        run_enqueued_jobs()

        assert drills.fresh(failed).status == "failed"
        assert drills.fresh(new).restart_of == failed
        assert drills.history(failed)[-1] == "failed"
        assert len(drills.statuses(failed)) == 7

    def test_shows_at_once_how_far_it_is(self, failed):
        new = drills.fresh(restart(failed))

        assert (new.status, new.step_number, new.percent) == ("processing", 5, 80)
        assert drills.history(new) == ["started"]

    def test_from_an_earlier_step_has_the_state_as_of_that_step(self, failed):
        new = restart(failed, from_step=2)
        begun = drills.fresh(new)

        assert (begun.state["total"], begun.state["words"]) == (1, [])
        assert drills.statuses(new) == ["done", "waiting"]
        drills.deliver_due()
        drills.deliver_due()
        drills.approve_with(new, 20)
        run_enqueued_jobs()
        assert drills.fresh(new).state["total"] == 121
        assert (effects("prepare"), effects("approve")) == (1, 2)

    def test_from_the_first_step_begins_with_what_the_old_one_began_with(self, failed):
        new = restart(failed, from_step=1)

        assert drills.fresh(new).state == failed.initial_state
        assert drills.statuses(new) == ["waiting"]

    def test_after_a_step_without_branches_has_the_state_of_the_steps_before(self):
        workflow = drills.reach(4, parts=0)
        operations.cancel_workflow(workflow_id=workflow.pk, by="ann")

        assert drills.fresh(restart(workflow)).state["total"] == 1

    def test_of_a_parallel_step_begins_all_its_branches(self, acts):
        def run(step_run):
            if step_run.branch == 1:
                raise GiveUp("bad part")
            return {"converted": step_run.branch}

        acts["convert"] = run
        workflow = drills.reach(3)
        run_enqueued_jobs(raise_errors=False)
        acts.clear()

        new = restart(workflow)
        run_enqueued_jobs()

        assert drills.statuses(new) == [*["done"] * 5, "waiting"]

    @pytest.mark.parametrize("status", ["cancelled", "timeout", "failed"])
    def test_is_there_for_each_end_that_is_not_a_completion(self, status):
        workflow = drills.reach(2)
        Workflow.objects.filter(pk=workflow.pk).update(status=status)

        assert drills.fresh(restart(workflow)).status == "processing"

    def test_has_a_deadline_of_its_own(self, failed):
        assert drills.timer(failed, "timeout") is None
        assert drills.timer(restart(failed), "timeout").due_at > drills.moment()

    def test_has_as_long_as_the_old_one_was_started_with(self):
        old = drills.start(deadline=timedelta(hours=2))
        drills.set_timer(old, "timeout", drills.moment(hours=9))
        operations.cancel_workflow(workflow_id=old.pk, by="ann")

        new = restart(old)
        operations.cancel_workflow(workflow_id=new.pk, by="ann")

        for workflow in (new, restart(new)):
            assert workflow.deadline_seconds == 7_200
        left = drills.timer(restart_of(new), "timeout").due_at - drills.moment()
        assert left.total_seconds() == pytest.approx(7_200, abs=30)

    def test_has_as_long_as_its_definition_says_now_where_its_start_said_nothing(
        self, failed, monkeypatch
    ):
        monkeypatch.setattr(get_definition(drills.ASSEMBLE), "deadline", timedelta(hours=5))

        left = drills.timer(restart(failed), "timeout").due_at - drills.moment()

        assert left.total_seconds() == pytest.approx(18_000, abs=30)

    def test_tells_the_definition_in_its_transaction(self, failed, acts):
        acts["restarted"] = lambda new: leave_effect(f"restarted {new.restart_of_id}")

        restart(failed)

        assert effects(f"restarted {failed.pk}") == 1

    def test_of_a_restart_is_one_more(self, failed):
        second = restart(failed)
        operations.cancel_workflow(workflow_id=second.pk, by="ann")

        third = restart(second)
        run_enqueued_jobs()

        assert drills.fresh(third).status == "completed"
        assert third.restart_of == second


class TestARestartIsRefused:
    def test_the_second_time(self, failed):
        restart(failed)

        with pytest.raises(NotRestartable, match="restarted already; restart the newest"):
            restart(failed)
        assert Workflow.objects.count() == 2

    def test_of_a_live_one(self):
        with pytest.raises(NotRestartable, match="is processing; it can't be restarted"):
            restart(drills.start())

    def test_of_a_completed_one(self):
        workflow = drills.reach(5)
        run_enqueued_jobs()

        with pytest.raises(NotRestartable, match="is completed; it can't be restarted"):
            restart(workflow)

    @pytest.mark.parametrize("number", [0, 6])
    def test_from_a_step_that_it_never_reached(self, failed, number):
        with pytest.raises(NotRestartable, match="can go on from steps 1 to 5"):
            restart(failed, from_step=number)

    def test_to_another_tenant(self, failed):
        with pytest.raises(UnknownWorkflow):
            restart(failed, tenant_id=GLOBEX)

    def test_while_a_live_one_has_its_key(self):
        workflow = drills.start(key="report-7")
        operations.cancel_workflow(workflow_id=workflow.pk, by="ann")
        drills.start(key="report-7")

        with pytest.raises(WorkflowKeyInUse):
            restart(workflow)
        assert Workflow.objects.count() == 2

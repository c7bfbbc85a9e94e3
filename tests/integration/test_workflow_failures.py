"""Steps that fail, jobs that are cancelled, and what an end leaves behind."""

import pytest

from jobs import operations as job_operations
from jobs.dead_letters.record import record
from jobs.engine import lifecycle
from jobs.errors import GiveUp, NotReplayable
from jobs.models import DeadLetter, Job, WorkflowStep
from jobs.states import JobState
from jobs.testing import run_enqueued_jobs
from jobs.workflows import operations
from tests import workflow_drills as drills
from tests.dead import dead_message_of
from tests.drills import effects, leave_effect, take

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def acts():
    """What steps do instead of their own."""
    with drills.known() as script:
        yield script


def failing(label):
    def run(step_run):
        leave_effect(label)
        raise RuntimeError(f"attempt {step_run.attempt}")

    return run


def fail(step_run):
    raise RuntimeError(f"attempt {step_run.attempt}")


class TestAFailingStep:
    @pytest.mark.parametrize(("number", "name"), [(1, "prepare"), (2, "fetch")])
    def test_waits_10_20_and_40_seconds_and_then_fails_the_workflow(self, acts, number, name):
        acts[name] = failing("undone") if number == 1 else fail
        workflow = drills.reach(number)
        job = drills.job_of(workflow, number)

        assert drills.waits_of(job) == [10, 20, 40]

        now, failed = drills.fresh(workflow), drills.step(workflow, number)
        assert (now.status, now.step_number) == ("failed", number)
        assert now.error == f"Step {number}, {job.type}: RuntimeError: attempt 4"
        assert (failed.status, failed.attempts) == ("failed", 4)
        assert failed.error == "RuntimeError: attempt 4"
        assert effects("undone") == 0
        drills.assert_never_back(workflow)

    def test_has_one_dead_letter(self, acts):
        acts["prepare"] = failing("undone")
        workflow = drills.start()
        job = drills.job_of(workflow, 1)
        drills.fail_for_good(job)
        record(dead_message_of(Job.objects.get(pk=job.pk)))
        run_enqueued_jobs(raise_errors=False)

        assert [letter.job_id for letter in DeadLetter.objects.all()] == [job.pk]

    def test_tells_each_attempt_its_number(self, acts):
        seen = []

        def run(step_run):
            seen.append(step_run.attempt)
            if len(seen) < 3:
                raise RuntimeError
            return {}

        acts["prepare"] = run
        workflow = drills.start()
        run_enqueued_jobs()

        assert seen == [1, 2, 3]
        assert drills.step(workflow, 1).attempts == 3

    def test_gives_up_at_once_where_another_attempt_is_no_use(self, acts):
        def run(_):
            raise GiveUp("no such part")

        acts["fetch"] = run
        workflow = drills.reach(2)
        drills.deliver_due()

        now = drills.fresh(workflow)
        assert (now.status, now.error) == (
            "failed",
            "Step 2, drills.fetch_parts: GiveUp: no such part",
        )

    def test_that_its_process_died_of_too_often_fails_the_workflow(self):
        workflow = drills.reach(2)
        (message,) = take()
        lifecycle.claim(drills.job_of(workflow, 2).pk, message.dispatch, worker="dies")
        lifecycle.fail(drills.job_of(workflow, 2), RuntimeError("killed"))

        assert drills.fresh(workflow).status == "failed"

    def test_can_not_be_replayed_as_a_job(self, acts):
        acts["prepare"] = failing("undone")
        workflow = drills.start()
        job = drills.job_of(workflow, 1)
        drills.fail_for_good(job)
        jobs = Job.objects.count()

        with pytest.raises(NotReplayable) as refused:
            job_operations.replay_job(job_id=job.pk, by="ann")

        assert (
            str(refused.value)
            == f"Restart workflow {workflow.pk} from this step instead of its job."
        )
        assert Job.objects.count() == jobs


class TestAJobThatIsCancelledByHand:
    def test_ends_its_workflow_as_cancelled(self):
        workflow = drills.reach(3)
        job_operations.cancel_job(job_id=drills.job_of(workflow, 3, 1).pk, by="ann")
        run_enqueued_jobs()

        now = drills.fresh(workflow)
        assert (now.status, now.error) == (
            "cancelled", "Step 3, drills.convert_part: Cancelled by ann.",
        )  # fmt: skip
        assert drills.statuses(workflow)[2:] == ["cancelled"] * 3
        assert drills.live_jobs() == 0


class TestTheEnd:
    @pytest.mark.parametrize("number", [1, 2, 3, 5])
    def test_stops_what_waits_for_it_and_leaves_no_dead_letter(self, number):
        workflow = drills.reach(number)

        operations.cancel_workflow(workflow_id=workflow.pk, by="ann")
        run_enqueued_jobs()

        ids = WorkflowStep.objects.filter(workflow=workflow, status="cancelled").values("job_id")
        assert {job.state for job in Job.objects.filter(pk__in=ids)} == {"cancelled"}
        assert (drills.live_jobs(), DeadLetter.objects.count()) == (0, 0)
        assert not Job.objects.filter(state=JobState.FAILED).exists()

    def test_stops_what_waits_for_its_next_attempt(self, acts):
        acts["fetch"] = fail
        workflow = drills.reach(2)
        drills.deliver_due()
        assert drills.job_of(workflow, 2).state == "retrying"

        operations.cancel_workflow(workflow_id=workflow.pk, by="ann")
        drills.deliver_due()

        assert drills.job_of(workflow, 2).state == "cancelled"

    def test_lets_a_step_of_a_dropped_definition_be_cancelled(self):
        from jobs.workflows import registry

        workflow = drills.start()
        registry.forget(drills.ASSEMBLE)

        operations.cancel_workflow(workflow_id=workflow.pk, by="ann")

        assert drills.fresh(workflow).status == "cancelled"

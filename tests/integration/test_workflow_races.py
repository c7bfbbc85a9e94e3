"""Whoever meets at a workflow at the same moment, in threads: one wins, everywhere."""

import threading

import pytest

from jobs.engine import lifecycle
from jobs.errors import GiveUp
from jobs.models import DeadLetter, Job, Workflow
from jobs.testing import run_enqueued_jobs
from jobs.workflows import operations, stopping
from jobs.workflows.errors import NotRestartable, WorkflowEnded, WorkflowKeyInUse
from jobs.workflows.timers import enqueue_due_timers
from tests import workflow_drills as drills
from tests.cleaning import meanwhile
from tests.deliveries import at_once, deliver
from tests.drills import ACME, GLOBEX, effects, make_due, take

pytestmark = pytest.mark.django_db(transaction=True)

IGNORED = "acknowledged: ignored"
SAFETY_NET_SECONDS = 60


@pytest.fixture(autouse=True)
def acts():
    """What steps do instead of their own."""
    with drills.known() as script:
        yield script


def cancel(workflow):
    return operations.cancel_workflow(workflow_id=workflow.pk, by="ann")


def delivering(messages):
    return [lambda message=message: deliver(message) for message in messages]


def count(results, kind):
    return sum(isinstance(result, kind) for result in results)


class TestAStep:
    def test_goes_on_with_the_state_in_another_process(self):
        workflow = drills.reach(4)
        drills.approve_with(workflow, 10, word="yes")

        (answer,) = at_once(*delivering(take()))

        assert answer == "acknowledged"
        state = drills.fresh(workflow).state
        assert (state["total"], state["words"]) == (111, ["yes"])

    def test_is_applied_once_by_workers_that_have_its_message_at_once(self):
        workflow = drills.start()

        answers = at_once(*delivering(take() * 4))

        assert sorted(answers) == ["acknowledged", *[IGNORED] * 3]
        assert (drills.fresh(workflow).step_number, effects("prepare")) == (2, 1)

    def test_is_joined_once_by_branches_that_end_at_once(self):
        workflow = drills.reach(3, parts=8)

        answers = at_once(*delivering(take()))

        assert answers == ["acknowledged"] * 8
        assert drills.fresh(workflow).step_number == 4
        assert drills.history(workflow).count("step 3 done") == 1

    def test_whose_branches_fail_at_once_fails_the_workflow_once(self, acts):
        def run(step_run):
            raise GiveUp(f"part {step_run.branch}")

        acts["convert"] = run
        workflow = drills.reach(3, parts=4)

        at_once(*delivering(take()))

        assert drills.fresh(workflow).status == "failed"
        assert drills.statuses(workflow).count("failed") == 1
        assert drills.history(workflow).count("failed") == 1

    def test_sent_by_fifty_at_once_is_applied_once_and_answered_alike(self):
        workflow = drills.reach(4)
        sends = [
            lambda amount=amount: drills.approve_with(workflow, amount) for amount in range(50)
        ]

        answers = at_once(*sends)

        outputs = [answer.output for answer in answers]
        assert outputs == [outputs[0]] * 50
        assert effects("approve") == 1
        state = drills.fresh(workflow).state
        assert ({"total": state["total"]}, len(state["words"])) == (outputs[0], 1)
        assert drills.history(workflow).count("step 4 done") == 1


class TestAZombie:
    def test_can_not_record_a_step_that_another_attempt_has_done(self, acts):
        # Given a worker that was given up for dead in the middle of the long step
        began, goes_on = threading.Event(), threading.Event()

        def run(step_run):
            if step_run.attempt == 1:
                began.set()
                goes_on.wait(SAFETY_NET_SECONDS)
            return {"by": step_run.attempt}

        acts["fetch"] = run
        workflow = drills.reach(2)
        (message,) = take()

        # When another attempt does the step, and then the first comes back
        def rescue():
            began.wait(SAFETY_NET_SECONDS)
            job = drills.job_of(workflow, 2)
            lifecycle.put_back(job, "its worker is silent")
            make_due(job)
            (again,) = take()
            answer = deliver(again)
            goes_on.set()
            return answer

        zombie, rescuer = at_once(lambda: deliver(message), rescue)

        # Then the step is the second's
        assert (zombie, rescuer) == (IGNORED, "acknowledged")
        done = drills.step(workflow, 2)
        assert (done.output, done.attempts) == ({"by": 2}, 2)
        assert drills.history(workflow).count("step 2 done") == 1


class TestACancel:
    def test_that_comes_while_the_last_step_is_done_is_refused(self, acts):
        # Given the last step at work, which holds the workflow's lock
        began, cancels = threading.Event(), threading.Event()

        def run(_):
            began.set()
            cancels.wait(SAFETY_NET_SECONDS)

        def late():
            began.wait(SAFETY_NET_SECONDS)
            cancels.set()
            return cancel(workflow)

        acts["close"] = run
        workflow = drills.reach(5)
        (message,) = take()
        answer, refused = at_once(lambda: deliver(message), late)

        assert (answer, type(refused)) == ("acknowledged", WorkflowEnded)
        assert_one_has_won(workflow)
        assert drills.fresh(workflow).status == "completed"

    def test_that_comes_first_leaves_nothing_of_the_last_step(self):
        workflow = drills.reach(5)
        (message,) = take()

        with meanwhile(lambda: cancel(workflow)):
            late = threading.Thread(target=lambda: at_once(lambda: deliver(message)))
            late.start()
        late.join(SAFETY_NET_SECONDS)

        assert_one_has_won(workflow)
        assert drills.fresh(workflow).status == "cancelled"

    def test_during_a_long_step_lets_its_success_come_to_nothing(self, acts):
        acts["fetch"] = lambda run: cancel(run.workflow) and {}
        workflow = drills.reach(2)

        assert drills.deliver_due() == [IGNORED]
        run_enqueued_jobs()

        assert drills.statuses(workflow) == ["done", "cancelled"]
        assert drills.job_of(workflow, 2).state == "cancelled"

    def test_after_a_long_step_keeps_what_it_has_brought(self):
        workflow = drills.reach(3)
        cancel(workflow)
        run_enqueued_jobs()

        assert drills.statuses(workflow) == ["done", "done", *["cancelled"] * 3]
        assert drills.job_of(workflow, 2).state == "succeeded"

    @pytest.mark.parametrize("turn", range(6))
    def test_and_a_success_at_the_same_moment_agree_everywhere(self, turn):
        workflow = drills.reach(5)
        (message,) = take()

        at_once(lambda: deliver(message), lambda: cancel(workflow))
        run_enqueued_jobs()

        assert_one_has_won(workflow)

    def test_is_done_once_however_many_come(self):
        workflow = drills.reach(3)

        answers = at_once(*[lambda: cancel(workflow)] * 8)

        assert (count(answers, Workflow), count(answers, WorkflowEnded)) == (1, 7)
        assert drills.history(workflow).count("cancelled") == 1

    def test_among_workers_timers_and_a_stop_meets_no_deadlock(self):
        workflow = drills.reach(3, parts=6)
        messages = take()
        drills.let_it_be_due(workflow, "timeout")
        enqueue_due_timers()

        answers = at_once(
            *delivering(messages),
            *delivering(take()),
            lambda: cancel(workflow),
            lambda: stopping.stop_steps(workflow.pk),
        )
        run_enqueued_jobs()

        assert count(answers, Exception) == count(answers, WorkflowEnded)
        assert drills.fresh(workflow).status in ("cancelled", "timeout")
        assert (drills.live_jobs(), DeadLetter.objects.count()) == (0, 0)
        drills.assert_never_back(workflow)


def assert_one_has_won(workflow):
    """The workflow, its last step, that step's job and its effect tell of the same end."""
    status = drills.fresh(workflow).status
    done = status == "completed"
    assert status in ("completed", "cancelled")
    last = drills.step(workflow, 5)
    assert last.status == ("done" if done else "cancelled")
    assert drills.job_of(workflow, 5).state == ("succeeded" if done else "cancelled")
    assert effects("close") <= done
    assert drills.history(workflow)[-1] == status
    drills.assert_never_back(workflow)


class TestAKey:
    def test_is_had_by_one_live_workflow_of_those_started_at_once(self):
        answers = at_once(*[lambda: drills.start(key="report-7")] * 8)

        (started,) = [answer for answer in answers if isinstance(answer, Workflow)]
        refusals = [answer for answer in answers if isinstance(answer, WorkflowKeyInUse)]
        assert len(refusals) == 7
        assert {refusal.workflow_id for refusal in refusals} == {started.pk}
        assert Workflow.objects.count() == 1
        assert Job.objects.count() == 1

    def test_is_free_for_others_and_after_the_end(self):
        first = drills.start(key="report-7")
        drills.start(key="report-7", tenant_id=GLOBEX)
        drills.start(drills.WAIT, key="report-7")
        cancel(first)

        answers = at_once(*[lambda: drills.start(key="report-7")] * 4)

        assert (count(answers, Workflow), count(answers, WorkflowKeyInUse)) == (1, 3)


class TestARestart:
    def test_by_two_clicks_makes_one(self):
        workflow = drills.reach(3)
        cancel(workflow)

        def again():
            return operations.restart_workflow(workflow_id=workflow.pk, by="ann", tenant_id=ACME)

        answers = at_once(again, again)

        assert (count(answers, Workflow), count(answers, NotRestartable)) == (1, 1)
        assert Workflow.objects.filter(restart_of=workflow).count() == 1

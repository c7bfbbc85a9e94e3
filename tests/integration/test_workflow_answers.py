"""What operations on workflows refuse, and that a refusal has done nothing."""

import uuid
from datetime import timedelta

import pytest

from jobs.models import Job, Workflow
from jobs.testing import run_enqueued_jobs
from jobs.workflows import WorkflowDefinition, operations, queries, registry
from jobs.workflows.errors import (
    ArgumentRefused,
    StateRefused,
    StepOfWorkers,
    StepOutOfOrder,
    UnknownDefinition,
    UnknownStep,
    UnknownWorkflow,
    WorkflowEnded,
    WorkflowKeyInUse,
)
from tests import workflow_drills as drills
from tests.drills import ACME, GLOBEX, effects

pytestmark = pytest.mark.django_db

APPROVAL = {"amount": 10}


@pytest.fixture(autouse=True)
def acts():
    """What steps do instead of their own."""
    with drills.known() as script:
        yield script


def send(workflow, number, data=APPROVAL, tenant_id=ACME):
    return operations.send_step(
        workflow_id=workflow.pk, number=number, data=data, tenant_id=tenant_id
    )


class TestAStart:
    def test_of_an_unknown_name_lists_the_known_ones(self):
        with pytest.raises(UnknownDefinition, match=f"nonsense.*Known: .*{drills.ASSEMBLE}"):
            drills.start("drills.nonsense")

    @pytest.mark.parametrize(
        ("state", "words"),
        [
            ({"parts": "many"}, "parts: Input should be a valid integer"),
            ({"words": ["a\0b"]}, "words.0: holds a NUL character"),
            ({"words": ["x" * 70_000]}, "Pass ids, not contents"),
        ],
    )
    def test_with_a_state_that_does_not_fit_says_what_does_not(self, state, words):
        with pytest.raises(StateRefused, match=words):
            operations.start_workflow(drills.ASSEMBLE, state, tenant_id=ACME)

        assert (Workflow.objects.count(), Job.objects.count()) == (0, 0)

    def test_with_a_key_in_use_names_the_workflow_and_spoils_nothing(self):
        first = drills.start(key="report-7")

        with pytest.raises(WorkflowKeyInUse) as refused:
            drills.start(key="report-7")

        assert refused.value.workflow_id == first.pk
        assert str(refused.value) == f"Workflow {first.pk} is live and has the key 'report-7'."
        assert (Workflow.objects.count(), Job.objects.count()) == (1, 1)

    @pytest.mark.parametrize("key", ["k" * 201, "a\0b"])
    def test_with_a_key_that_can_not_be_stored_says_so(self, key):
        with pytest.raises(ArgumentRefused, match="key: at most 200 characters, and no NUL"):
            drills.start(key=key)

        assert drills.start(key="k" * 200).key == "k" * 200

    @pytest.mark.parametrize("seconds", [0, -1])
    def test_with_a_deadline_that_is_not_ahead_says_so(self, seconds):
        with pytest.raises(ArgumentRefused, match="deadline: .* is not ahead"):
            drills.start(deadline=timedelta(seconds=seconds))

    def test_without_a_key_is_never_refused(self):
        drills.start()
        drills.start()

        assert Workflow.objects.count() == 2


class TestASentStep:
    def test_that_the_workflow_does_not_have_is_unknown(self):
        with pytest.raises(UnknownStep, match="no step 6; the steps are 1 to 5"):
            send(drills.start(), 6)

    def test_that_workers_do_is_refused(self):
        workflow = drills.start()

        for number in (1, 2, 3, 5):
            with pytest.raises(StepOfWorkers, match=f"Step {number} is done by workers"):
                send(workflow, number)
        assert (drills.statuses(workflow), effects()) == (["waiting"], 0)

    def test_whose_turn_has_not_come_is_out_of_order(self):
        workflow = drills.start()

        with pytest.raises(StepOutOfOrder, match="Step 4 is out of order; step 1 is to be done"):
            send(workflow, 4)
        assert (drills.statuses(workflow), effects()) == (["waiting"], 0)

    def test_again_gets_what_was_stored_whatever_it_carries(self):
        workflow = drills.reach(4)
        first = send(workflow, 4)

        again = send(workflow, 4, {"amount": 99})
        nonsense = send(workflow, 4, {"nothing": "fits"})

        assert first.output == again.output == nonsense.output == {"total": 11}
        assert (drills.fresh(workflow).state["total"], effects("approve")) == (11, 1)

    def test_again_after_the_end_gets_what_was_stored(self):
        workflow = drills.reach(5)
        run_enqueued_jobs()
        assert drills.fresh(workflow).status == "completed"

        assert send(workflow, 4).output == {"total": 11}

    def test_for_the_first_time_after_the_end_is_refused(self):
        workflow = drills.reach(4)
        operations.cancel_workflow(workflow_id=workflow.pk, by="ann")

        with pytest.raises(WorkflowEnded, match="is cancelled; nothing more can be done to it"):
            send(workflow, 4)
        assert (drills.statuses(workflow)[-1], effects("approve")) == ("cancelled", 0)

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            ({}, "amount: Field required"),
            ({"amount": "much"}, "amount: Input should be a valid integer"),
            ({"amount": 1, "word": "a\0b"}, "word: holds a NUL character"),
        ],
    )
    def test_with_data_that_does_not_fit_does_nothing(self, data, words):
        workflow = drills.reach(4)

        with pytest.raises(StateRefused, match=words):
            send(workflow, 4, data)

        waits = drills.step(workflow, 4)
        assert (waits.status, waits.attempts, effects("approve")) == ("waiting", 0, 0)

    def test_of_another_tenants_workflow_is_as_unknown_as_one_that_is_not_there(self):
        workflow = drills.reach(4)

        with pytest.raises(UnknownWorkflow) as theirs:
            send(workflow, 4, tenant_id=GLOBEX)
        with pytest.raises(UnknownWorkflow) as none:
            operations.cancel_workflow(workflow_id=(absent := uuid.uuid4()), by="ann")

        assert str(theirs.value).replace(str(workflow.pk), str(absent)) == str(none.value)
        assert effects("approve") == 0


class TestACancel:
    def test_notes_who_did_it(self):
        workflow = drills.start()
        operations.cancel_workflow(workflow_id=workflow.pk, by="ann")

        now = drills.fresh(workflow)
        assert (now.status, now.error) == ("cancelled", "Cancelled by ann.")
        assert now.ended_at is not None

    @pytest.mark.parametrize("status", ["completed", "failed", "timeout", "cancelled"])
    def test_after_the_end_is_refused_and_changes_nothing(self, status):
        workflow = drills.start()
        Workflow.objects.filter(pk=workflow.pk).update(status=status)

        with pytest.raises(WorkflowEnded, match=f"is {status}"):
            operations.cancel_workflow(workflow_id=workflow.pk, by="ann")

        assert drills.fresh(workflow).status == status
        assert drills.history(workflow) == ["started"]

    def test_of_another_tenants_is_refused(self):
        workflow = drills.start()

        with pytest.raises(UnknownWorkflow):
            operations.cancel_workflow(workflow_id=workflow.pk, by="eve", tenant_id=GLOBEX)
        assert drills.fresh(workflow).is_live


class TestALook:
    def test_of_another_tenant_finds_nothing(self):
        workflow = drills.start()

        assert queries.get_workflow(workflow.pk, tenant_id=ACME) == workflow
        with pytest.raises(UnknownWorkflow):
            queries.get_workflow(workflow.pk, tenant_id=GLOBEX)
        assert queries.list_workflows(GLOBEX) == []

    def test_at_a_list_can_be_narrowed(self):
        assemblies = [drills.start() for _ in range(3)]
        waiting = drills.start(drills.WAIT)
        operations.cancel_workflow(workflow_id=assemblies[0].pk, by="ann")

        assert queries.list_workflows(ACME) == [waiting, *reversed(assemblies)]
        assert queries.list_workflows(ACME, name=drills.WAIT) == [waiting]
        assert queries.list_workflows(ACME, status="cancelled") == [assemblies[0]]
        assert queries.list_workflows(ACME, before=assemblies[2].pk, limit=1) == [assemblies[1]]


class TestADefinition:
    def test_of_a_name_that_another_module_has_taken_is_refused(self):
        elsewhere = {"__name__": "shop.workflows", "declare": WorkflowDefinition}
        with pytest.raises(ValueError, match=f"{drills.WAIT}.*tests.workflow_drills and shop.work"):
            exec(f"declare({drills.WAIT!r}, state=int)", elsewhere)

        assert registry.get_definition(drills.WAIT) is drills.wait

    def test_of_a_typed_spelling_belongs_to_its_own_module_too(self):
        elsewhere = {"__name__": "shop.workflows", "declare": WorkflowDefinition[drills.Assembly]}
        with pytest.raises(ValueError, match="tests.workflow_drills and shop.workflows"):
            exec(f"declare({drills.WAIT!r}, state=int)", elsewhere)

    def test_may_be_declared_again_by_its_module_which_was_reloaded(self):
        again = {"__name__": drills.wait.module, "declare": WorkflowDefinition}
        exec(f"declare({drills.WAIT!r}, state=int)", again)

        assert registry.get_definition(drills.WAIT) is not drills.wait

    def test_takes_no_timer_whose_name_no_row_could_have(self):
        for name in ("", "n" * 61):
            with pytest.raises(ValueError, match="a name has 1 to 60 characters"):
                drills.wait.timer(name)

    def test_that_is_forgotten_is_unknown(self):
        registry.forget(drills.WAIT)

        with pytest.raises(UnknownDefinition):
            registry.get_definition(drills.WAIT)

    def test_that_is_not_for_people_is_as_unknown_as_one_that_is_not_there(self):
        assert registry.get_public_definition(drills.ASSEMBLE) is drills.assemble
        with pytest.raises(UnknownDefinition) as refused:
            registry.get_public_definition(drills.WAIT)
        assert drills.WAIT not in str(refused.value).partition("Known:")[2]

"""A state that fits its model no more: the step that spoils it fails, and the deadline comes."""

import uuid

import pytest
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from jobs.models import Alert, Workflow
from jobs.workflows.errors import ResultRefused, StateOutgrown, StepRefused
from jobs.workflows.registry import get_definition
from jobs.workflows.state import state_of, storable_state
from tests import workflow_drills as drills
from tests.drills import effects

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("acts")]


class Grown(drills.Assembly):
    """The model of the next release, whose new field has no default."""

    budget: int


class Odd(BaseModel):
    model_config = ConfigDict(strict=True)

    unit: uuid.UUID
    count: int = Field(1, alias="howMany")
    _seen: int = PrivateAttr(0)


@pytest.fixture
def model(monkeypatch):
    """Let the next release have another model for the state."""

    def set_model(name, model):
        monkeypatch.setattr(get_definition(name), "state", model)

    return set_model


def spoil(run):
    run.state.total = "many"


class TestAStepThatSpoilsTheState:
    def test_fails_its_workflow_at_once_and_names_the_field(self, acts):
        acts["prepare"] = spoil
        workflow = drills.start()
        drills.deliver_due()

        now = drills.fresh(workflow)
        assert (now.status, now.state["total"]) == ("failed", 0)
        assert now.error == (
            "Step 1, drills.prepare_assembly: ResultRefused: The state doesn't fit its model: "
            "total: Input should be a valid integer, unable to parse string as an integer."
        )
        assert drills.job_of(workflow, 1).attempts == 1

    def test_is_refused_where_somebody_sends_it(self, acts):
        acts["approve"] = spoil
        workflow = drills.reach(4)

        with pytest.raises(StepRefused, match="The state doesn't fit its model: total:"):
            drills.approve_with(workflow)

        assert (drills.fresh(workflow).step_number, drills.fresh(workflow).state["total"]) == (4, 1)

    def test_with_what_no_json_has_fails_it_too(self, acts):
        def run(step_run):
            step_run.state.total = object()

        acts["prepare"] = run
        workflow = drills.start()
        drills.deliver_due()

        assert drills.fresh(workflow).status == "failed"
        assert "The state can't be stored" in drills.fresh(workflow).error

    def test_ends_what_its_timer_was_of(self, acts):
        acts["remind"] = spoil
        workflow = drills.start(drills.WAIT)
        drills.set_timer(workflow)
        drills.fire(workflow, "remind")

        now = drills.fresh(workflow)
        assert (now.status, now.state["total"]) == ("failed", 0)
        assert "ResultRefused: The state doesn't fit its model" in now.error

    def test_in_the_function_of_the_deadline_keeps_no_workflow_from_its_end(self, acts):
        acts["timeout"] = spoil
        workflow = drills.start(drills.WAIT)
        drills.fire(workflow, "timeout")

        now = drills.fresh(workflow)
        assert (now.status, now.state["total"]) == ("timeout", 0)
        assert "The state doesn't fit its model: total:" in now.error


class TestAState:
    def test_is_stored_as_its_model_has_it(self, acts):
        def run(step_run):
            step_run.state.total = "7"

        acts["prepare"] = run

        assert drills.reach(2).state["total"] == 7

    def test_may_have_aliases_strict_types_and_what_is_not_stored(self, model):
        workflow = drills.start(drills.WAIT)
        model(drills.WAIT, Odd)
        odd = Odd(unit=uuid.uuid4(), howMany=3)
        odd._seen = 9

        workflow.state = storable_state(workflow, odd)

        assert workflow.state == {"unit": str(odd.unit), "count": 3}
        again = state_of(workflow)
        assert (again.unit, again.count, again._seen) == (odd.unit, 3, 0)

    def test_with_half_of_a_surrogate_pair_is_refused(self):
        state = drills.Assembly()
        state.words.append("\ud800")

        with pytest.raises(ResultRefused):
            storable_state(drills.start(), state)


class TestARelease:
    def test_whose_state_has_a_new_field_without_default_says_so(self, model):
        workflow = drills.start()
        model(drills.ASSEMBLE, Grown)

        with pytest.raises(StateOutgrown, match=r"budget: Field required\. A new field .* default"):
            state_of(workflow)

        drills.deliver_due()
        now = drills.fresh(workflow)
        assert (now.status, drills.job_of(workflow, 1).attempts) == ("failed", 1)
        assert "StateOutgrown" in now.error

    def test_keeps_no_deadline_from_ending_the_workflow_at_once(self, model):
        workflow = drills.start(drills.WAIT)
        model(drills.WAIT, Grown)

        drills.fire(workflow, "timeout")

        now = drills.fresh(workflow)
        assert (now.status, effects("timeout")) == ("timeout", 0)
        assert now.error.startswith("Step 1 was not done in time. Timer timeout: StateOutgrown:")
        assert "budget: Field required" in now.error
        assert Alert.objects.filter(kind="workflow_timeout").count() == 1

    def test_may_give_a_new_field_a_default(self, model):
        class Mended(drills.Assembly):
            budget: int = 5

        workflow = drills.start(drills.WAIT)
        model(drills.WAIT, Mended)

        assert state_of(Workflow.objects.get(pk=workflow.pk)).budget == 5

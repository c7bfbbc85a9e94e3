"""What a step may leave behind to be stored, and what becomes of a workflow whose step may not."""

import math

import pytest

from jobs.workflows import operations
from jobs.workflows.errors import ResultRefused, StepRefused
from jobs.workflows.results import storable
from tests import workflow_drills as drills
from tests.drills import effects

pytestmark = pytest.mark.django_db

LIMIT = 2_000  #: Bytes.
TOO_MUCH = "x" * LIMIT


@pytest.fixture(autouse=True)
def acts(settings):
    """What steps and timers do instead of their own."""
    settings.JOBS_WORKFLOWS_RESULT_MAX_BYTES = LIMIT
    with drills.known() as script:
        yield script


def say_too_much(run):
    run.state.words.append(TOO_MUCH)


def endless():
    value: dict[str, object] = {}
    value["self"] = value
    return value


def deep(levels):
    value: list[object] = []
    for _ in range(levels):
        value = [value]
    return {"x": value}


class TestStorable:
    @pytest.mark.parametrize(
        "value",
        [
            None,
            {},
            {"a": [1, 2.5, None, True, "é", {"b": "\\u0000"}]},
            {"x": "y" * (LIMIT - 9)},
            drills.Assembly(parts=1),
        ],
    )
    def test_is_given_back_as_json(self, value):
        expected = value.model_dump() if isinstance(value, drills.Assembly) else value
        assert storable(value, "The output") == expected

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            ({"x": "y" * (LIMIT - 8)}, "The output has 2001 bytes; at most 2000 are stored"),
            ({"x": "é" * (LIMIT // 2)}, "has 2009 bytes"),
            ({"x": ["a\0b"]}, "holds a NUL character"),
            ({"a\0b": 1}, "holds a NUL character"),
            ({"x": math.nan}, "can't be stored: Out of range float"),
            ({"x": "\ud800"}, "can't be stored: .*surrogates not allowed"),
            ({"x": object()}, "can't be stored: Object of type object"),
            ({("a", 1): 1}, "can't be stored: keys must be str"),
            (endless(), "can't be stored: Circular reference"),
            (deep(3_000), "can't be stored: maximum recursion depth"),
        ],
    )
    def test_says_why_not(self, value, words):
        with pytest.raises(ResultRefused, match=words):
            storable(value, "The output")


class TestAStepThatBringsTooMuch:
    @pytest.mark.parametrize(
        ("act", "words"),
        [(lambda run: {"x": TOO_MUCH}, "The output has"), (say_too_much, "The state has")],
    )
    def test_fails_its_workflow_at_once(self, acts, act, words):
        acts["prepare"] = act
        workflow = drills.start()
        drills.deliver_due()

        now = drills.fresh(workflow)
        assert now.status == "failed"
        assert now.error.startswith(f"Step 1, drills.prepare_assembly: ResultRefused: {words}")
        assert drills.job_of(workflow, 1).attempts == 1
        assert now.state["words"] == []

    def test_fails_it_too_where_it_is_a_long_one(self, acts):
        acts["fetch"] = lambda run: {"x": TOO_MUCH}
        workflow = drills.reach(2)
        drills.deliver_due()

        assert drills.fresh(workflow).status == "failed"
        assert drills.step(workflow, 2).output is None

    def test_is_the_one_before_the_branches_whose_input_is_too_large(self, acts):
        acts["branches"] = lambda run: [{"x": TOO_MUCH}]
        workflow = drills.reach(2)
        drills.deliver_due()

        now = drills.fresh(workflow)
        assert (now.status, now.step_number) == ("failed", 2)
        assert "The input of a branch has" in now.error

    def test_refuses_who_sends_it_and_stays_to_be_done(self):
        workflow = drills.reach(4)

        with pytest.raises(StepRefused, match="The state has .* at most 2000"):
            drills.approve_with(workflow, word=TOO_MUCH)

        assert (drills.fresh(workflow).step_number, effects("approve")) == (4, 0)
        assert drills.approve_with(workflow).output == {"total": 11}

    def test_ends_what_its_timer_was_of(self, acts):
        acts["remind"] = say_too_much
        workflow = drills.start(drills.WAIT)
        operations.set_timer(workflow_id=workflow.pk, name="remind", due_at=drills.moment())
        drills.fire(workflow, "remind")

        now = drills.fresh(workflow)
        assert now.status == "failed"
        assert now.error.startswith("Timer remind: ResultRefused: The state has")

"""`/api/v1/workflows`: what may be done to a workflow that was started, and what is refused."""

import pytest

from jobs.errors import GiveUp
from jobs.testing import run_enqueued_jobs
from jobs.workflows import operations
from jobs.workflows.registry import get_definition
from tests import workflow_drills as drills
from tests.api import faulty_fields, problem, program, program_of_stranger
from tests.drills import effects, leave_effect

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("acts")]

URL = "/api/v1/workflows"


@pytest.fixture
def api(client, acme, ann):
    """A program with Ann's token."""
    return program(client, URL, acme, ann)


@pytest.fixture
def others(client):
    """A program of another tenant."""
    return program_of_stranger(client, URL)


@pytest.fixture
def waiting(acme, ann):
    """A workflow of Ann's that waits for its step 4."""
    return drills.reach(4, tenant_id=acme.pk, user_id=ann.pk)


def send(api, workflow, number=4, data=None):
    data = {"amount": 10} if data is None else data
    return api("post", f"/{workflow.pk}/steps", {"step_number": number, "data": data})


class TestStep:
    def test_is_done_and_answers_its_result(self, api, waiting):
        answer = send(api, waiting)

        assert answer.status_code == 200
        assert answer.json() == {
            "status": "step_completed", "step_number": 4, "result": {"total": 11},
        }  # fmt: skip
        assert drills.fresh(waiting).step_number == 5

    def test_with_a_field_too_many_is_refused_and_may_be_sent_again(self, api, waiting):
        answer = send(api, waiting, data={"amount": 10, "amuont": 3})

        assert answer.status_code == 422
        assert "amuont: Unknown. Known: amount" in answer.json()["detail"]
        assert send(api, waiting).status_code == 200

    def test_that_says_no_leaves_nothing_and_may_be_sent_again(self, api, waiting, acts):
        def refuse(_):
            leave_effect("approve")
            raise GiveUp("The office is closed.")

        acts["approve"] = refuse
        assert problem(send(api, waiting)) == (409, "Step refused", "The office is closed.")
        assert effects("approve") == 0

        del acts["approve"]
        assert send(api, waiting).status_code == 200

    def test_of_a_state_that_this_release_does_not_know_says_so(self, api, waiting, monkeypatch):
        class Grown(drills.Assembly):
            budget: int

        monkeypatch.setattr(get_definition(drills.ASSEMBLE), "state", Grown)
        status, title, detail = problem(send(api, waiting))
        assert (status, title) == (409, "State outgrown")
        assert "budget: Field required" in detail

    def test_that_sets_a_timer_nobody_declared_is_our_fault(self, api, waiting, acts, client):
        acts["approve"] = lambda run: run.set_timer("remnid", drills.moment(hours=1))
        client.raise_request_exception = False
        assert problem(send(api, waiting))[0] == 500

    def test_repeated_gets_the_stored_result(self, api, waiting):
        first = send(api, waiting)
        again = send(api, waiting, data={"amount": 99})

        assert (again.status_code, again.content) == (200, first.content)
        assert effects("approve") == 1

    def test_repeated_after_the_end_gets_the_stored_result(self, api, waiting):
        first = send(api, waiting)
        run_enqueued_jobs()

        assert drills.fresh(waiting).status == "completed"
        assert send(api, waiting).content == first.content

    def test_that_does_not_exist_is_404(self, api, waiting):
        answer = send(api, waiting, 6)

        assert problem(answer) == (404, "Not Found", "There is no step 6; the steps are 1 to 5.")
        assert faulty_fields(answer) == ["step_number"]

    def test_out_of_order_is_409(self, api, acme):
        answer = send(api, drills.start(tenant_id=acme.pk))

        assert problem(answer) == (
            409, "Step out of order", "Step 4 is out of order; step 1 is to be done now.",
        )  # fmt: skip

    def test_of_workers_is_409(self, api, waiting):
        assert problem(send(api, waiting, 5)) == (
            409, "Step of workers", "Step 5 is done by workers; it can't be sent. "
            f"Follow it by GET /workflows/{waiting.pk}.",
        )  # fmt: skip

    def test_after_the_end_is_409(self, api, waiting):
        operations.cancel_workflow(workflow_id=waiting.pk, by="ann")

        status, title, detail = problem(send(api, waiting))
        assert (status, title) == (409, "Workflow ended")
        assert detail == (
            f"Workflow {waiting.pk} is cancelled; "
            "nothing more can be done to it but to restart it from a step."
        )

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"step_number": 4, "data": {}}, "data"),
            ({"step_number": 4, "data": {"amount": 1, "word": "a\0b"}}, "data.word"),
            ({"step_number": 4, "data": {"amount": 1, "word": "\ud800"}}, "data.word"),
            ({"step_number": 0, "data": {}}, "step_number"),
            ({"step_number": True, "data": {}}, "step_number"),
            ({"step_number": "4", "data": {"amount": 1}}, "step_number"),
            ({"data": {}}, "step_number"),
            ({"step_number": 4, "data": 7}, "data"),
        ],
    )
    def test_that_is_wrong_names_the_field(self, api, waiting, body, field):
        answer = api("post", f"/{waiting.pk}/steps", body)

        assert (answer.status_code, faulty_fields(answer)) == (422, [field])
        assert drills.step(waiting, 4).status == "waiting"

    def test_of_anothers_is_404(self, others, waiting):
        assert send(others, waiting).status_code == 404
        assert effects("approve") == 0


class TestTheOrderOfLooking:
    """A step that is sent with a field too many gets what it would get without."""

    @pytest.fixture
    def sent(self, api):
        def send_too_much(workflow, number=4):
            return send(api, workflow, number, {"amount": 10, "amuont": 3})

        return send_too_much

    def test_comes_to_a_number_that_is_none(self, sent, waiting):
        assert sent(waiting, 6).status_code == 404

    def test_comes_to_one_that_workers_do(self, sent, waiting):
        assert problem(sent(waiting, 5))[:2] == (409, "Step of workers")

    def test_comes_to_one_that_is_done(self, api, sent, waiting):
        first = send(api, waiting)

        assert (sent(waiting).status_code, sent(waiting).content) == (200, first.content)

        run_enqueued_jobs()
        assert (sent(waiting).status_code, sent(waiting).content) == (200, first.content)

    def test_comes_to_a_workflow_that_has_ended(self, sent, waiting):
        operations.cancel_workflow(workflow_id=waiting.pk, by="ann")

        assert problem(sent(waiting))[:2] == (409, "Workflow ended")

    def test_comes_to_one_that_is_not_to_be_done_now(self, sent, acme):
        answer = sent(drills.start(tenant_id=acme.pk))

        assert problem(answer)[:2] == (409, "Step out of order")

    def test_comes_to_the_field_at_last(self, sent, waiting):
        answer = sent(waiting)

        assert (answer.status_code, faulty_fields(answer)) == (422, ["data"])
        assert drills.step(waiting, 4).status == "waiting"

    def test_of_anothers_workflow_begins_with_404(self, others, waiting):
        assert send(others, waiting, 4, {"amuont": 3}).status_code == 404


class TestCancel:
    def test_ends_it_and_shows_it(self, api, waiting, ann):
        answer = api("post", f"/{waiting.pk}/cancel")

        assert answer.status_code == 200
        assert (answer.json()["status"], answer.json()["error"]) == (
            "cancelled", f"Cancelled by {ann}.",
        )  # fmt: skip
        assert answer.json()["ended_at"]
        assert problem(api("post", f"/{waiting.pk}/cancel"))[:2] == (409, "Workflow ended")

    def test_of_anothers_is_404(self, others, waiting):
        assert others("post", f"/{waiting.pk}/cancel").status_code == 404
        assert drills.fresh(waiting).is_live


class TestRestart:
    def test_goes_on_as_a_new_one(self, api, waiting):
        api("post", f"/{waiting.pk}/cancel")
        answer = api("post", f"/{waiting.pk}/restart", {})

        new = answer.json()
        assert answer.status_code == 202
        assert (new["restart_of"], new["step_number"]) == (str(waiting.pk), 4)
        assert api("get", f"/{waiting.pk}").json()["restarted_as"] == new["id"]

    def test_goes_on_from_an_earlier_step(self, api, waiting):
        api("post", f"/{waiting.pk}/cancel")

        new = api("post", f"/{waiting.pk}/restart", {"from_step": 2}).json()
        assert [step["number"] for step in new["steps"]] == [1, 2]

    def test_takes_a_number_alone_for_a_step(self, api, waiting):
        api("post", f"/{waiting.pk}/cancel")

        answer = api("post", f"/{waiting.pk}/restart", {"from_step": True})
        assert (answer.status_code, faulty_fields(answer)) == (422, ["from_step"])

    def test_of_a_live_one_or_of_the_same_again_is_409(self, api, waiting):
        path = f"/{waiting.pk}/restart"
        assert problem(api("post", path, {}))[:2] == (409, "Not restartable")
        api("post", f"/{waiting.pk}/cancel")
        api("post", path, {})

        assert problem(api("post", path, {}))[:2] == (409, "Not restartable")

    def test_of_anothers_is_404(self, others, waiting):
        operations.cancel_workflow(workflow_id=waiting.pk, by="ann")

        assert others("post", f"/{waiting.pk}/restart", {}).status_code == 404

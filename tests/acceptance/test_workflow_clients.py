"""Workflows as clients of the API see them: their shapes, fifty at once, and a cancel in time."""

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.harness import deaths, ledger, stepping
from tests.harness.client import Client
from tests.harness.processes import Web
from tests.harness.stepping import COMPLETED, IMPATIENT, SECONDS, WORKFLOWS
from tests.harness.system import System
from tests.harness.waiting import wait_for
from tests.harness.workflows import NAME

CLIENTS = 50
RACES = 12


@pytest.fixture(scope="module")
def system(shared_system: System) -> System:
    shared_system.env |= IMPATIENT
    shared_system.relay()
    shared_system.worker()
    return shared_system


@pytest.fixture(scope="module")
def web(system: System) -> Web:
    return system.web()


@pytest.fixture(scope="module")
def client(system: System, web: Web) -> Client:
    return web.client(system.people.acme.token)


class TestAClient:
    def test_follows_a_workflow_from_its_start_to_its_end(self, system, client):
        # Given one that is started
        answer = post(client, WORKFLOWS, {"name": NAME, "data": {"label": "followed"}})
        assert answer.status_code == 202
        workflow_id = answer.json()["workflow_id"]
        assert answer.json() == {"workflow_id": workflow_id, "status": "started"}
        assert answer.headers["Location"] == f"{WORKFLOWS}/{workflow_id}"

        # When workers have done what is theirs
        stepping.wait_for_step(system, 4, workflow_id)
        seen = see(client, workflow_id)
        assert (seen["status"], seen["step_number"], seen["progress"]) == ("processing", 4, 60)
        assert seen["deadline_at"] is not None
        assert [step["output"] for step in seen["steps"] if step["number"] == 3] == [
            {"square": 0},
            {"square": 1},
            {"square": 4},
        ]

        # And the client does its step
        done = send(client, workflow_id, 4)
        result = {"squares": [0, 1, 4], "by": "somebody"}
        assert done.status_code == 200
        assert done.json() == {"status": "step_completed", "step_number": 4, "result": result}

        # Then it is completed
        stepping.wait_for_end(system, "completed", workflow_id)
        seen = see(client, workflow_id)
        assert (seen["status"], seen["progress"], seen["error"]) == ("completed", 100, None)
        assert seen["deadline_at"] is None
        assert {step["status"] for step in seen["steps"]} == {"done"}
        stepping.assert_completed_once(system, workflow_id, "followed")

        # And its step sent again gets the stored result, a cancel the reason why not
        assert send(client, workflow_id, 4, by="somebody else").json() == done.json()
        refused = client.post(f"{WORKFLOWS}/{workflow_id}/cancel")
        assert (refused.status_code, refused.json()["title"]) == (409, "Workflow ended")

    def test_is_told_why_a_step_is_not_done(self, system, client):
        # Given a workflow whose long step runs
        workflow_id = start(client, label="refusing", until_cancelled=True)
        wait_until_it_thinks(system, "refusing")

        # Then each step that can't be done has its own answer
        early, of_workers = send(client, workflow_id, 4), send(client, workflow_id, 2)
        assert (early.status_code, early.json()["title"]) == (409, "Step out of order")
        assert (of_workers.status_code, of_workers.json()["title"]) == (409, "Step of workers")
        assert send(client, workflow_id, 6).status_code == 404
        assert send(client, uuid.uuid4(), 4).status_code == 404
        assert client.post(f"{WORKFLOWS}/{workflow_id}/explode").status_code == 404
        unfit = {"step_number": "four", "data": {}}
        assert post(client, f"{WORKFLOWS}/{workflow_id}/steps", unfit).status_code == 422

        # And so has one after the end
        assert client.post(f"{WORKFLOWS}/{workflow_id}/cancel").status_code == 200
        late = send(client, workflow_id, 4)
        assert (late.status_code, late.json()["title"]) == (409, "Workflow ended")

    def test_of_another_tenant_sees_and_does_nothing(self, system, web, client):
        workflow_id = start(client, label="ours")
        stranger = web.client(system.people.globex.token)

        stepping.wait_for_step(system, 4, workflow_id)

        assert stranger.get(f"{WORKFLOWS}/{workflow_id}").status_code == 404
        assert send(stranger, workflow_id, 4).status_code == 404
        assert stranger.post(f"{WORKFLOWS}/{workflow_id}/cancel").status_code == 404
        assert stepping.row(system, workflow_id)["step_number"] == 4


class TestFiftyClients:
    def test_that_send_the_same_step_at_once_get_equal_answers_of_one(self, system, web, client):
        # Given fifty who each send their own name
        workflow_id = start(client, label="fifty")
        stepping.wait_for_step(system, 4, workflow_id)

        # When all send it at the same moment
        answers = at_once(system, web, lambda mine, name: send(mine, workflow_id, 4, by=name))

        # Then it was done once, for one of them, and all got its answer
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert answers[0].json()["result"]["by"] in {str(number) for number in range(CLIENTS)}
        stepping.wait_for_end(system, "completed", workflow_id)
        stepping.assert_completed_once(system, workflow_id, "fifty")
        assert attempts_of_step(system, workflow_id, 4) == 1

    def test_that_start_the_same_at_once_start_one(self, system, web):
        body: dict[str, Any] = {"name": NAME, "data": {"label": "one start"}}
        key = {"Idempotency-Key": "one-start"}

        answers = at_once(system, web, lambda mine, _: mine.post(WORKFLOWS, json=body, headers=key))

        assert {answer.status_code for answer in answers} == {202}
        [workflow_id] = {answer.json()["workflow_id"] for answer in answers}
        stepping.wait_for_step(system, 4, workflow_id)
        assert stepping.effects(system, "one start")["begin"] == 1


class TestACancel:
    def test_while_a_long_step_runs_makes_its_late_success_nothing(self, system, client):
        # Given a long step that comes to its end right after the workflow's cancel
        workflow_id = start(client, label="late", until_cancelled=True)
        wait_until_it_thinks(system, "late")

        # When it is cancelled
        answer = client.post(f"{WORKFLOWS}/{workflow_id}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        settle(system)

        # Then it is cancelled everywhere, and of its success nothing is stored
        assert_cancelled_everywhere(system, client, workflow_id)
        [begun, thought] = see(client, workflow_id)["steps"]
        assert (begun["status"], thought["status"]) == ("done", "cancelled")
        assert thought["output"] is None
        assert stepping.effects(system, "late") == {"begin": 1, "think": 1}
        assert stepping.jobs_of(system, workflow_id) == {"succeeded": 2, "cancelled": 1}
        assert stepping.history(system, workflow_id) == [
            *COMPLETED[:2],
            ("cancelled", 2, "cancelled"),
        ]

    def test_against_a_success_at_the_same_moment_has_one_winner(self, system, web, client):
        # Given workflows whose long steps end at about the moment of their cancels
        ids = [start(client, label=f"race {n}", seconds=0.3) for n in range(RACES)]

        # When each is cancelled a little after its step began
        def cancel(number: int) -> None:
            wait_until_it_thinks(system, f"race {number}", every_seconds=0.01)
            threading.Event().wait(0.02 * number)
            with web.client(system.people.acme.token) as mine:
                mine.post(f"{WORKFLOWS}/{ids[number]}/cancel")

        with ThreadPoolExecutor(RACES) as pool:
            list(pool.map(cancel, range(RACES)))
        settle(system)

        # Then each is cancelled, and its step is done with its output, or cancelled without
        for workflow_id in ids:
            assert_cancelled_everywhere(system, client, workflow_id)
            assert_one_has_won(system, client, workflow_id)


def start(client: Client, **state: Any) -> str:
    answer = post(client, WORKFLOWS, {"name": NAME, "data": state})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["workflow_id"])


def see(client: Client, workflow_id: object) -> dict[str, Any]:
    answer = client.get(f"{WORKFLOWS}/{workflow_id}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def send(
    client: Client, workflow_id: object, number: int, *, by: str = "somebody"
) -> requests.Response:
    body = {"step_number": number, "data": {"by": by}}
    return post(client, f"{WORKFLOWS}/{workflow_id}/steps", body)


def post(client: Client, path: str, body: dict[str, Any]) -> requests.Response:
    answer: requests.Response = client.post(path, json=body)
    return answer


def at_once(
    system: System, web: Web, request: Callable[[Client, str], requests.Response]
) -> list[requests.Response]:
    """Return the answers to fifty clients, who wait for each other before they send."""
    together = threading.Barrier(CLIENTS)

    def send_one(number: int) -> requests.Response:
        with web.client(system.people.acme.token) as mine:
            together.wait()
            return request(mine, str(number))

    with ThreadPoolExecutor(CLIENTS) as pool:
        return list(pool.map(send_one, range(CLIENTS)))


def wait_until_it_thinks(system: System, label: str, *, every_seconds: float = 0.1) -> None:
    wait_for(
        lambda: stepping.effects(system, label)["think"],
        SECONDS,
        f"the long step of {label} runs",
        every_seconds=every_seconds,
    )


def settle(system: System) -> None:
    """Wait until nothing is on its way but for workflows that wait for their clients."""
    ledger.wait_until_all_settled(system)
    deaths.wait_until_quiet(system)


def attempts_of_step(system: System, workflow_id: object, number: int) -> int:
    [step] = [each for each in stepping.steps(system, workflow_id) if each["number"] == number]
    return int(step["attempts"])


def assert_cancelled_everywhere(system: System, client: Client, workflow_id: object) -> None:
    seen = see(client, workflow_id)
    assert (seen["status"], seen["deadline_at"]) == ("cancelled", None)
    assert {step["status"] for step in seen["steps"]} <= {"done", "cancelled"}
    assert stepping.history(system, workflow_id)[-1][0] == "cancelled"
    assert set(stepping.jobs_of(system, workflow_id)) <= {"succeeded", "cancelled"}


def assert_one_has_won(system: System, client: Client, workflow_id: object) -> None:
    """Assert that the long step, its output, its job and the history say the same."""
    thought = see(client, workflow_id)["steps"][1]
    done = thought["status"] == "done"
    noted = ("processing", 2, "step 2 done") in stepping.history(system, workflow_id)
    job_id = stepping.steps(system, workflow_id)[1]["job_id"]
    succeeded = ledger.state_of(system, job_id) == "succeeded"
    assert (done, done, done) == (thought["output"] is not None, noted, succeeded)

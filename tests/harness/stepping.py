"""Workflows of five steps as tests start and follow them, past the product's own code."""

import time
import uuid
from collections import Counter
from datetime import timedelta
from typing import Any

import requests

from jobs.workflows.operations import start_workflow
from tests.harness.client import Client
from tests.harness.system import System
from tests.harness.workflows import BRANCHES, NAME, SYNCHRONOUS

WORKFLOWS = "/api/v1/workflows"

SECONDS = 90  #: A safety net for what takes seconds, on a machine with much else to do.

#: Leases and sweeps of seconds instead of minutes; nothing else differs from production.
IMPATIENT = {
    "JOBS_EXTRA_TASK_MODULES": "tests.harness.tasks,tests.harness.workflows",
    "JOBS_LEASE_SECONDS": "3",
    "JOBS_HEARTBEAT_SECONDS": "1",
    "JOBS_RETRY_BASE_SECONDS": "1",
    "JOBS_RECOVERY_INTERVAL_SECONDS": "1",
    "JOBS_STALL_AFTER_SECONDS": "2",
    "JOBS_COPY_INTERVAL_SECONDS": "5",
}

#: The history of one that nothing disturbs, as (status, step to be done, what).
COMPLETED = [
    ("processing", 1, "started"),
    *(("processing", number, f"step {number} done") for number in range(1, 6)),
    ("completed", 6, "completed"),
]


def start(
    system: System, label: str, *, deadline: timedelta | None = None, **state: Any
) -> uuid.UUID:
    """Start one for the owner of acme, committed; nothing is sent from here."""
    people = system.people.acme
    with system.orm():
        return start_workflow(
            NAME,
            {"label": label, **state},
            tenant_id=uuid.UUID(people.id),
            user_id=uuid.UUID(people.owner_id),
            deadline=deadline,
        ).pk


def row(system: System, workflow_id: object) -> dict[str, Any]:
    [found] = system.rows("SELECT * FROM jobs_workflow WHERE id = %s", workflow_id)
    return found


def wait_for_step(
    system: System, number: int, *workflow_ids: object, seconds: float = SECONDS
) -> None:
    """Wait until each of the workflows has come to the step of this number, and is live."""
    query = """
        SELECT count(*) FROM jobs_workflow
         WHERE id = ANY(%s) AND step_number = %s AND status = 'processing'"""
    system.wait_for(
        lambda: system.value(query, list(workflow_ids), number) == len(workflow_ids),
        seconds=seconds,
        what=f"step {number} is to be done in {len(workflow_ids)} workflows",
    )


def wait_for_end(
    system: System, status: str, *workflow_ids: object, seconds: float = SECONDS
) -> None:
    """Wait until each of the workflows has ended, and see that it has this status."""
    query = "SELECT status, count(*) FROM jobs_workflow WHERE id = ANY(%s) GROUP BY status"

    def statuses() -> dict[str, int]:
        rows = system.rows(query, list(workflow_ids))
        return {row["status"]: row["count"] for row in rows}

    what = f"{len(workflow_ids)} workflows have ended"
    system.wait_for(lambda: "processing" not in statuses(), seconds=seconds, what=what)
    assert statuses() == {status: len(workflow_ids)}


def history(system: System, workflow_id: object) -> list[tuple[str, int, str]]:
    query = """
        SELECT status, step_number, what FROM jobs_workflowchange
         WHERE workflow_id = %s ORDER BY id"""
    return [tuple(row.values()) for row in system.rows(query, workflow_id)]


def effects(system: System, label: str) -> Counter[str]:
    """Return how often each step of the workflow of this label has left an effect."""
    query = "SELECT label, count(*) FROM test_effects WHERE label LIKE %s GROUP BY label"
    rows = system.rows(query, f"{label}: %")
    return Counter({row["label"].partition(": ")[2]: row["count"] for row in rows})


def steps(system: System, workflow_id: object) -> list[dict[str, Any]]:
    query = "SELECT * FROM jobs_workflowstep WHERE workflow_id = %s ORDER BY number, branch"
    return system.rows(query, workflow_id)


def jobs_of(system: System, workflow_id: object) -> Counter[str]:
    """Return how many jobs of a workflow are in which state: steps, timers, and what stops them."""
    query = "SELECT state FROM jobs_job WHERE payload->>'workflow_id' = %s"
    return Counter(row["state"] for row in system.rows(query, str(workflow_id)))


def assert_completed_once(system: System, workflow_id: object, label: str) -> None:
    """Assert that each step was applied once, in order, and that nothing of it is left."""
    assert history(system, workflow_id) == COMPLETED
    ended = row(system, workflow_id)
    assert (ended["percent"], ended["error"]) == (100, "")
    assert ended["state"]["applied"] == ["begin", "confirm", "finish"]
    done = steps(system, workflow_id)
    assert [each["number"] for each in done] == [1, 2, *[3] * BRANCHES, 4, 5]
    assert {each["status"] for each in done} == {"done"}
    left = effects(system, label)
    assert {left[each] for each in ("begin", "confirm", "finish")} == {1}, left
    assert left["timeout"] == 0
    assert set(jobs_of(system, workflow_id)) == {"succeeded"}
    assert timers_left(system, workflow_id) == 0


def timers_left(system: System, workflow_id: object) -> int:
    query = "SELECT count(*) FROM jobs_workflowtimer WHERE workflow_id = %s"
    return int(system.value(query, workflow_id))


def confirm(client: Client, workflow_id: object, by: str = "somebody") -> requests.Response:
    """Send the synchronous step; again, as a client would, to a server that died meanwhile."""
    body = {"step_number": SYNCHRONOUS, "data": {"by": by}}
    return send_until_answered(client, f"{WORKFLOWS}/{workflow_id}/steps", json=body)


def send_until_answered(client: Client, path: str, **options: Any) -> requests.Response:
    """Send a request again until an answer has come, whole: servers may die in the middle of it."""
    until = time.monotonic() + SECONDS
    while True:
        try:
            return client.post(path, **options)
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            assert time.monotonic() < until, f"{path} was never answered"
            time.sleep(0.2)

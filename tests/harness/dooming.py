"""Workflows of five steps that die, each at its crash point, and what must hold of them after."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from django.utils import timezone

from jobs.workflows import operations
from jobs.workflows.timers import TIMEOUT
from tests.harness import deaths, ledger, stepping
from tests.harness.crash_points import env_for, mark_of
from tests.harness.processes import Web
from tests.harness.stepping import COMPLETED, IMPATIENT, SECONDS, WORKFLOWS
from tests.harness.system import System
from tests.harness.workflow_crash_points import IN_REQUESTS, IN_STEPS, IN_TIMEOUTS
from tests.harness.workflows import NAME

#: Where a relay dies that sends a step, and one that sees to a timer.
RELAYS = ("relay.after_take", "relay.after_publish")
RELAYS_WITH_TIMERS = ("relay.before_timers_commit", "relay.after_timers")

#: However long it takes: what timed out meanwhile is one incident, and one alert.
ENV = IMPATIENT | {"ALERTS_INTERVAL_SECONDS": "86400"}

#: The history of one that waits for its client when its deadline comes.
TIMED_OUT = [*COMPLETED[:4], ("timeout", 4, "timeout")]


@dataclass
class Doomed:
    """Workflows by their labels, which begin with the points at which their processes die."""

    steps: dict[str, uuid.UUID] = field(default_factory=dict)
    timeouts: dict[str, uuid.UUID] = field(default_factory=dict)
    requests: dict[str, uuid.UUID] = field(default_factory=dict)

    @property
    def completed(self) -> dict[str, uuid.UUID]:
        return self.steps | self.requests


def doom(system: System, *, times: int) -> Doomed:
    """Start workflows that die at every point, send their steps, and let deadlines come."""
    web = system.web(env=env_for(system, ",".join(IN_REQUESTS)))
    system.relay()
    system.worker("doomed", env=env_for(system, ",".join(IN_STEPS | IN_TIMEOUTS)), concurrency=4)
    doomed = Doomed()
    for number in range(times):
        for point in IN_STEPS:
            doomed.steps[f"{point} {number}"] = start(system, point, number)
        for point in IN_TIMEOUTS:
            doomed.timeouts[f"{point} {number}"] = start(system, point, number)
        for point in IN_REQUESTS:
            doomed.requests[f"{point} {number}"] = start_by_request(system, web, point, number)
    ids = [*doomed.completed.values(), *doomed.timeouts.values()]
    stepping.wait_for_step(system, 4, *ids, seconds=SECONDS * times)
    make_due(system, *doomed.timeouts.values())
    confirm_all(system, web, [*doomed.completed.values()])
    return doomed


def start(system: System, point: str, number: int) -> uuid.UUID:
    return stepping.start(system, f"{point} {number}", crash_at=point)


def start_by_request(system: System, web: Web, point: str, number: int) -> uuid.UUID:
    label = f"{point} {number}"
    body = {"name": NAME, "data": {"label": label, "crash_at": point}}
    key = label.replace(" ", "-")
    with web.client(system.people.acme.token) as client:
        answer = stepping.send_until_answered(
            client, WORKFLOWS, json=body, headers={"Idempotency-Key": key}
        )
    assert answer.status_code == 202, answer.text
    return uuid.UUID(answer.json()["workflow_id"])


def confirm_all(system: System, web: Web, ids: list[uuid.UUID]) -> None:
    def confirm(workflow_id: uuid.UUID) -> None:
        with web.client(system.people.acme.token) as client:
            answer = stepping.confirm(client, workflow_id)
            assert answer.status_code == 200, answer.text

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(confirm, ids))


def complete(system: System, workflow_id: uuid.UUID) -> None:
    """Do the synchronous step as soon as it is its turn, and wait for the end."""
    stepping.wait_for_step(system, 4, workflow_id)
    with system.orm():
        tenant_id = uuid.UUID(system.people.acme.id)
        operations.send_step(
            workflow_id=workflow_id, number=4, data={"by": "somebody"}, tenant_id=tenant_id
        )
    stepping.wait_for_end(system, "completed", workflow_id)


def make_due(system: System, *workflow_ids: uuid.UUID) -> None:
    with system.orm():
        for workflow_id in workflow_ids:
            operations.set_timer(workflow_id=workflow_id, name=TIMEOUT, due_at=timezone.now())


def die_of(system: System, point: str) -> None:
    """Let a relay die at this point, once more."""
    mark_of(system, point).unlink(missing_ok=True)
    system.relay(env=env_for(system, point)).wait_until_gone()


def assert_completed(system: System, doomed: Doomed, point: str, *, times: int = 1) -> None:
    labels = [f"{point} {number}" for number in range(times)]
    ids = [doomed.completed[label] for label in labels]
    stepping.wait_for_end(system, "completed", *ids, seconds=SECONDS * times)
    for label in labels:
        assert mark_of(system, f"{point}.{label}").exists(), f"{label} never died"
        stepping.assert_completed_once(system, doomed.completed[label], label)


def assert_timed_out(system: System, doomed: Doomed, point: str, *, times: int = 1) -> None:
    labels = [f"{point} {number}" for number in range(times)]
    ids = [doomed.timeouts[label] for label in labels]
    stepping.wait_for_end(system, "timeout", *ids, seconds=SECONDS * times)
    for label in labels:
        # A workflow's end comes before the job that stops its steps: that may die yet.
        died = mark_of(system, f"{point}.{label}").exists
        system.wait_for(died, seconds=SECONDS, what=f"{label} died")
        assert_timed_out_once(system, doomed.timeouts[label], label)


def assert_timed_out_once(system: System, workflow_id: uuid.UUID, label: str) -> None:
    assert stepping.history(system, workflow_id) == TIMED_OUT
    left = stepping.effects(system, label)
    assert (left["begin"], left["timeout"], left["confirm"], left["finish"]) == (1, 1, 0, 0)
    statuses = [step["status"] for step in stepping.steps(system, workflow_id)]
    assert statuses == ["done"] * 5 + ["cancelled"]
    assert stepping.timers_left(system, workflow_id) == 0


def assert_nothing_left(system: System) -> None:
    """Wait until all is quiet; then nothing is live, and each timeout was told of once."""
    ledger.wait_until_all_settled(system)
    deaths.wait_until_quiet(system)
    assert set(ledger.count_by_state(system)) == {"succeeded"}
    assert system.value("SELECT count(*) FROM jobs_workflowtimer") == 0
    assert system.value("SELECT count(*) FROM jobs_workflow WHERE status = 'processing'") == 0
    timeouts = system.value("SELECT count(*) FROM jobs_workflow WHERE status = 'timeout'")
    told = "SELECT past_count FROM jobs_incident WHERE kind = 'workflow_timeout'"
    assert system.value(told) == timeouts
    assert system.value("SELECT count(*) FROM jobs_alert") == 1
    mails = system.rows("SELECT status FROM notifications_notification")
    assert [mail["status"] for mail in mails] == ["sent"] * timeouts
    letters = system.rows("SELECT DISTINCT state FROM jobs_deadletter")
    assert [letter["state"] for letter in letters] in ([], ["superseded"])


def kill_all(system: System, name: str = "") -> None:
    """Kill the processes whose names begin so."""
    for process in system.processes:
        if process.name.startswith(name):
            process.kill()

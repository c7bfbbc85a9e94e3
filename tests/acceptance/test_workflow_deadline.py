"""A workflow's deadline that comes while no worker lives: it fires once they are back, once."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from jobs.workflows import operations
from jobs.workflows.timers import TIMEOUT
from tests.harness import deaths, ledger, stepping
from tests.harness.system import System
from tests.mail_server import MailServer, mail_server

#: What the product promises, from the return of the first process; three times that in a test.
PROMISED = timedelta(seconds=10)
SAFETY = 3

DEADLINE = timedelta(seconds=12)  #: Enough for what comes before the workers go.


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    with mail_server(tmp_path_factory.mktemp("mails")) as server:
        yield server


@pytest.fixture(scope="module")
def system(shared_system: System, server: MailServer) -> System:
    # Each timeout of these is an alert of its own: the interval that bundles them is the least.
    shared_system.env |= stepping.IMPATIENT | {"EMAIL_URL": server.url}
    shared_system.env |= {"ALERTS_INTERVAL_SECONDS": "1"}
    return shared_system


@pytest.fixture(autouse=True)
def nobody(system: System) -> Iterator[None]:
    """Leave no process to the next test."""
    yield
    for process in system.processes:
        process.kill()


class TestADeadlineWithoutWorkers:
    def test_fires_when_they_are_back(self, system, server):
        # Given a workflow that waits for its client, whose workers stop in order
        system.relay()
        worker = system.worker()
        workflow_id = stepping.start(system, "stopped")
        stepping.wait_for_step(system, 4, workflow_id)
        worker.terminate()

        # When its deadline, which was moved, has come, and they start again
        with system.orm():
            soon = timezone.now() + timedelta(seconds=1)
            operations.set_timer(workflow_id=workflow_id, name=TIMEOUT, due_at=soon)
        wait_until_due(system, workflow_id)
        returned = clock(system)
        system.worker("back")

        # Then it has timed out within the time that is promised, and once
        stepping.wait_for_end(system, "timeout", workflow_id)
        assert_told_once(system, server, workflow_id, "stopped", returned)
        assert stepping.history(system, workflow_id)[-1] == ("timeout", 4, "timeout")

    def test_fires_when_they_and_the_relay_are_back(self, system, server):
        # Given a workflow whose long step runs when worker and relay are killed
        relay, worker = system.relay(), system.worker()
        workflow_id = stepping.start(system, "killed", deadline=DEADLINE, seconds=300)
        system.wait_for(
            lambda: stepping.effects(system, "killed")["think"],
            seconds=stepping.SECONDS,
            what="it thinks",
        )
        worker.kill()
        relay.kill()

        # When its deadline has come, and they start again
        wait_until_due(system, workflow_id)
        assert stepping.row(system, workflow_id)["status"] == "processing"
        returned = clock(system)
        system.relay()
        system.worker("back")

        # Then it has timed out, once, and its step is not done again to its end
        stepping.wait_for_end(system, "timeout", workflow_id)
        assert_told_once(system, server, workflow_id, "killed", returned)
        assert stepping.history(system, workflow_id)[-1] == ("timeout", 2, "timeout")
        assert [step["status"] for step in stepping.steps(system, workflow_id)] == [
            "done",
            "cancelled",
        ]

    def test_is_nothing_to_a_workflow_that_was_cancelled_before(self, system, server):
        # Given a workflow that is cancelled while no worker is there
        before = told(system, server)
        system.relay()
        workflow_id = stepping.start(system, "cancelled", deadline=timedelta(seconds=3))
        with system.orm():
            operations.cancel_workflow(workflow_id=workflow_id, by="somebody")

        # When its deadline would have come, and a worker is there
        begun = clock(system)
        system.wait_for(
            lambda: clock(system) > begun + timedelta(seconds=5), seconds=60, what="it is over"
        )
        system.worker()
        ledger.wait_until_all_settled(system)
        deaths.wait_until_quiet(system)

        # Then it is cancelled, and nobody is told of a timeout
        stepping.wait_for_end(system, "cancelled", workflow_id)
        assert stepping.effects(system, "cancelled") == {}
        assert told(system, server) == before


def wait_until_due(system: System, workflow_id: object) -> None:
    """Wait for the deadline, and some sweeps more: without workers it must not fire."""
    query = "SELECT due_at FROM jobs_workflowtimer WHERE workflow_id = %s"
    due_at = system.value(query, workflow_id)
    system.wait_for(
        lambda: clock(system) > due_at + timedelta(seconds=3), seconds=60, what="it is due"
    )
    assert stepping.row(system, workflow_id)["status"] == "processing"


def clock(system: System) -> datetime:
    """Return the database's time, by which workflows end."""
    now: datetime = system.value("SELECT CLOCK_TIMESTAMP()")
    return now


def told(system: System, server: MailServer) -> tuple[int, int]:
    return int(system.value("SELECT count(*) FROM jobs_alert")), len(server.mails())


def assert_told_once(
    system: System, server: MailServer, workflow_id: object, label: str, returned: datetime
) -> None:
    late = stepping.row(system, workflow_id)["ended_at"] - returned
    print(f"timed out {late.total_seconds():.1f} s after the return of the first process")
    assert timedelta(0) < late < PROMISED * SAFETY
    ledger.wait_until_all_settled(system)
    deaths.wait_until_quiet(system)
    assert stepping.effects(system, label)["timeout"] == 1
    assert stepping.timers_left(system, workflow_id) == 0
    assert fired(system, workflow_id) == ["succeeded"]
    assert alerts_of(system, workflow_id) == 1
    mails = [mail for mail in server.mails() if str(workflow_id) in mail.raw.decode()]
    assert [mail.recipients for mail in mails] == [[system.people.acme.owner]]


def fired(system: System, workflow_id: object) -> list[Any]:
    query = """
        SELECT state FROM jobs_job
         WHERE type = 'workflows.fire_timer' AND payload->>'workflow_id' = %s"""
    return [row["state"] for row in system.rows(query, str(workflow_id))]


def alerts_of(system: System, workflow_id: object) -> int:
    query = "SELECT count(*) FROM jobs_alert WHERE data->>'workflow_id' = %s"
    return int(system.value(query, str(workflow_id)))

"""A workflow's deadline: while no worker lives, and behind the jobs of others; it fires once."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from jobs import enqueue_many
from jobs.operations import cancel_job
from jobs.workflows import operations
from jobs.workflows.timers import TIMEOUT, enqueue_due_timers
from tests.harness import deaths, deployment, ledger, stepping
from tests.harness.system import System
from tests.harness.tasks import add_effect_then_wait
from tests.mail_server import MailServer, mail_server

#: A safety net: three times what is promised, on a machine with much else to do.
SECONDS = 30

CORES = 2  #: As many children has a worker that does not say how many.
BACKLOG = 120  #: More than a tenant has in flight.

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

        # Then it times out, once
        stepping.wait_for_end(system, "timeout", workflow_id, seconds=SECONDS)
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
        stepping.wait_for_end(system, "timeout", workflow_id, seconds=SECONDS)
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


class TestADeadlineAmongOtherJobs:
    def test_fires_while_another_tenant_holds_every_child_with_more_behind_them(
        self, system, server
    ):
        # Given the workers that are shipped, busy for minutes with another tenant's jobs
        began = clock(system)
        system.relay()
        for worker in deployment.workers(cores=CORES):
            system.worker(worker.name, queues=worker.queues, concurrency=worker.children)
        with backlog(system) as jobs:
            # When the deadline of a workflow comes
            workflow_id = stepping.start(system, "behind", deadline=timedelta(seconds=1))

            # Then it times out, and none of those jobs has ended
            stepping.wait_for_end(system, "timeout", workflow_id)
            assert states_of(system, jobs) == {"running", "queued", "waiting"}
            assert fired(system, workflow_id) == ["succeeded"]
        assert_told_once(system, server, workflow_id, "behind", began)

    def test_fires_by_the_message_that_the_release_before_sent_elsewhere(self, system, server):
        # Given a job for it as that release stored them, on the lane of ordinary jobs
        workflow_id = stepping.start(system, "before", deadline=timedelta(seconds=1))
        wait_until_due(system, workflow_id)
        with system.orm():
            enqueue_due_timers()
        system.rows("""
            UPDATE jobs_job SET queue = 'jobs', partition = 'jobs/timers-' || tenant_id
             WHERE type = 'workflows.fire_timer' AND state = 'waiting'""")

        # When relay and worker are of this release, then it times out, once
        returned = clock(system)
        system.relay()
        system.worker()
        stepping.wait_for_end(system, "timeout", workflow_id)
        assert_told_once(system, server, workflow_id, "before", returned)
        query = "SELECT queue FROM jobs_job WHERE type = 'workflows.fire_timer' AND state = %s AND "
        query += "payload->>'workflow_id' = %s"
        assert system.value(query, "succeeded", str(workflow_id)) == "jobs"


@contextmanager
def backlog(system: System) -> Iterator[list[UUID]]:
    """Let jobs of another tenant hold the children of the lane `jobs`, with many behind them."""
    errands = [{"label": "backlog", "seconds": 300}] * BACKLOG
    with system.orm():
        tenant_id = UUID(system.people.globex.id)
        stored = enqueue_many(add_effect_then_wait, errands, tenant_id=tenant_id)
    jobs = [job.pk for job in stored]
    system.wait_for(
        lambda: system.effects("backlog") == CORES, seconds=stepping.SECONDS, what="all are busy"
    )
    try:
        yield jobs
    finally:
        with system.orm():
            for job in jobs:
                cancel_job(job_id=job, by="the test")


def states_of(system: System, jobs: list[UUID]) -> set[str]:
    return {
        row["state"] for row in system.rows("SELECT state FROM jobs_job WHERE id = ANY(%s)", jobs)
    }


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
    assert stepping.row(system, workflow_id)["ended_at"] > returned
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

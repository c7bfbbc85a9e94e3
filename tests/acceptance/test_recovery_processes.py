"""What is lost on the way of a job, and comes back: messages, brokers, databases, children."""

import signal
import time

import pytest

from jobs import enqueue, enqueue_many
from jobs.engine import lifecycle
from tests.harness import deaths, faults, ledger
from tests.harness.processes import Worker
from tests.harness.system import System
from tests.harness.tasks import add_effect, add_effect_fenced

#: Recovery by seconds instead of minutes; nothing else differs from production.
IMPATIENT = {
    "JOBS_LEASE_SECONDS": "4",
    "JOBS_HEARTBEAT_SECONDS": "1",
    "JOBS_RECOVERY_INTERVAL_SECONDS": "1",
    "JOBS_STALL_AFTER_SECONDS": "2",
    "JOBS_COPY_INTERVAL_SECONDS": "5",
    "JOBS_BROKER_TIMEOUT_SECONDS": "3",
    "JOBS_EXTRA_TASK_MODULES": "tests.harness.tasks,tests.harness.faults",
}


@pytest.fixture(scope="module")
def system(shared_system: System) -> System:
    shared_system.env |= IMPATIENT
    return shared_system


@pytest.fixture(scope="module")
def worker(system: System) -> Worker:
    return system.worker()


@pytest.fixture
def relay(system: System, worker: Worker):
    with system.relay() as relay:
        yield relay


def enqueue_errands(system: System, label: str, count: int, seconds: float = 0) -> None:
    """Enqueue as many jobs of an atomic and of a non-atomic type."""
    payload = {"label": label, "seconds": seconds}
    with system.orm():
        for task in (add_effect, add_effect_fenced):
            enqueue_many(task, [payload] * (count // 2))


class TestRelayKilled:
    def test_between_take_and_publish_loses_nothing(self, system, worker):
        # Given jobs that a relay took, and was killed before it could send them
        enqueue_errands(system, "taken", 20)
        with system.orm():
            assert len(lifecycle.take_due(100)) == 20
        assert ledger.count_by_state(system)["queued"] == 20

        # When another relay looks after the ledger, then all run, once
        with system.relay():
            ledger.wait_until_all_settled(system)
        assert system.effects("taken") == 20

    def test_in_the_middle_of_its_work_loses_nothing(self, system, worker):
        # Given relays that are killed again and again while jobs come in
        for number in range(5):
            with system.relay() as relay:
                enqueue_errands(system, "while killed", 200)
                relay.wait_for_log("waiting for due jobs")
                time.sleep(number * 0.05)  # Each is killed at another point of its work.

        # When one stays, then every job has run once
        with system.relay():
            ledger.wait_until_all_settled(system)
        assert system.effects("while killed") == 1_000


class TestBrokerWiped:
    def test_with_unfinished_jobs_loses_none(self, system, worker, relay, own_rabbitmq):
        # Given jobs that wait in the broker, and some that run
        enqueue_errands(system, "wiped", 60, seconds=0.2)
        system.wait_for(lambda: system.effects("wiped") > 4, seconds=60, what="some have run")

        # When the broker comes back with nothing in it
        own_rabbitmq.wipe()

        # Then all jobs run, once
        ledger.wait_until_all_settled(system, seconds=120)
        assert system.effects("wiped") == 60
        assert ledger.count_by_state(system).keys() == {"succeeded"}
        assert relay.alive
        assert worker.alive


class TestDatabaseRestarted:
    def test_at_once_under_load_loses_none(self, system, worker, relay, own_postgres):
        # Given jobs that run and jobs that wait
        enqueue_errands(system, "restarted", 200, seconds=0.05)
        system.wait_for(lambda: system.effects("restarted") > 10, seconds=60, what="some have run")

        # When PostgreSQL is cut off, twice, and recovers as from a crash
        for _ in range(2):
            own_postgres.restart(immediate=True)
            time.sleep(1)

        # Then every job ends as succeeded, its effect is there once, and nobody had to be restarted
        ledger.wait_until_all_settled(system, seconds=120)
        assert ledger.count_by_state(system).keys() == {"succeeded"}
        assert system.effects("restarted") == 200
        assert relay.alive
        assert worker.alive


class TestChildKilled:
    def test_its_job_runs_again_and_leaves_nothing_to_do(self, system, worker, relay):
        # Given a child that is killed in the middle of a job
        with system.orm():
            job = enqueue(faults.atomic_accident, {"label": "child", "signal": signal.SIGKILL})

        # Then the job runs again, whether its lease is missed first or its message comes back dead
        ledger.wait_for_state(system, job.pk, "succeeded")
        first, last = ledger.outcomes(system, job.pk)
        assert (first in ("lost", "failed"), last) == (True, "succeeded")
        row = ledger.job_row(system, job.pk)
        assert (row["losses"], row["failures"]) == ((1, 0) if first == "lost" else (0, 1))
        assert system.effects("child") == 1

        # And nobody has to look after the message of the lost attempt
        deaths.wait_until_quiet(system)
        assert {death.row.state for death in deaths.dead_letters_of(system, job.pk)} <= {
            "superseded"
        }
        assert worker.alive

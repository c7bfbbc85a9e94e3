"""Cancelled and revoked jobs: not run to their end, and no dead letters."""

import socket
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from jobs import enqueue
from jobs.operations import cancel_job
from tests.harness import deaths, ledger
from tests.harness.processes import Worker
from tests.harness.system import System
from tests.harness.tasks import add_effect_fenced

LONG = 60


@pytest.fixture(scope="module")
def system(shared_system: System) -> System:
    shared_system.env |= {
        "JOBS_HEARTBEAT_SECONDS": "1",
        "JOBS_EXTRA_TASK_MODULES": "tests.harness.tasks,tests.harness.witness",
    }
    shared_system.relay()
    return shared_system


@pytest.fixture(scope="module")
def worker(system: System) -> Worker:
    return system.worker()


def cancel(system: System, job_id: uuid.UUID) -> None:
    with system.orm():
        cancel_job(job_id=job_id, by="somebody")


def revoke(system: System, job_id: uuid.UUID) -> None:
    ask_workers(system, "revoke", str(job_id))


def terminate(system: System, job_id: uuid.UUID) -> None:
    ask_workers(system, "terminate", "TERM", str(job_id))


def ask_workers(system: System, *words: str) -> None:
    """Give Celery's own command, and wait for the worker's answer."""
    worker = f"worker@{socket.gethostname()}"  # Named, so that it waits for no other.
    options = ("--timeout", "30", "--destination", worker)
    words = ("-m", "celery", "-A", "project", "control", *options, *words)
    control = system.python(*words, name="control")
    control.wait_until_gone()
    assert control.exit_code == 0
    assert "revoked: " in control.log_text()


@pytest.mark.parametrize("stop", [cancel, revoke, terminate])
class TestBeforeItRuns:
    def test_it_is_cancelled_and_never_runs(self, system, worker, stop):
        # Given a job whose time has not come
        pid = worker.pid
        job = start(system, "never", run_at=timezone.now() + timedelta(hours=1))
        stop(system, job)

        # Then it doesn't run when the time comes
        system.rows("UPDATE jobs_job SET run_at = now() WHERE id = %s", job)
        assert_cancelled(system, worker, job, attempts=[])
        assert system.effects("never") == 0
        assert (worker.pid, worker.alive) == (pid, True)


@pytest.mark.parametrize("stop", [cancel, revoke, terminate])
class TestWhileItIsQueued:
    def test_it_is_cancelled_and_never_runs(self, system, worker, stop):
        # Given a job that waits behind two that run
        busy = [start(system, "busy", seconds=6) for _ in range(2)]
        for each in busy:
            ledger.wait_for_state(system, each, "running")
        job = start(system, "behind")
        ledger.wait_for_state(system, job, "queued")
        stop(system, job)

        # Then they end, and it never ran
        assert_cancelled(system, worker, job, attempts=[])
        assert [ledger.wait_for_state(system, each, "succeeded") for each in busy]
        assert system.effects("behind") == 0


@pytest.mark.parametrize("stop", [cancel, terminate])
class TestWhileItRuns:
    def test_it_is_cancelled_and_has_no_effect(self, system, worker, stop):
        # Given a job that would run for a minute
        pid = worker.pid
        job = start(system, "long", seconds=LONG)
        ledger.wait_for_state(system, job, "running")
        stop(system, job)

        # Then it ends at once
        assert_cancelled(system, worker, job, attempts=["cancelled"])
        assert system.effects("long") == 0
        assert (worker.pid, worker.alive) == (pid, True)


class TestAfterAllThat:
    def test_the_parent_process_never_connected_to_the_database(self, system, worker):
        connected = deaths.pids_that_connected(worker)
        assert connected & set(worker.children())
        assert worker.pid not in connected

    def test_no_result_was_written(self, system, worker):
        assert system.value("SELECT count(*) FROM django_celery_results_taskresult") == 0


def start(system: System, label: str, *, seconds: float = 0, **options: Any) -> uuid.UUID:
    with system.orm():
        payload = {"label": label, "seconds": seconds}
        return enqueue(add_effect_fenced, payload, **options).pk


def assert_cancelled(
    system: System, worker: Worker, job: uuid.UUID, *, attempts: list[str]
) -> None:
    ledger.wait_for_state(system, job, "cancelled")
    deaths.assert_works_on(system)
    deaths.wait_until_quiet(system)
    assert ledger.outcomes(system, job) == attempts
    assert deaths.dead_letters_of(system, job) == []
    assert system.value("SELECT count(*) FROM jobs_deadletter") == 0
    assert worker.alive

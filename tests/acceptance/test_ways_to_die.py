"""Every way in which a running job may die: one dead letter with its cause, a worker alive."""

from dataclasses import dataclass
from typing import Any

import pytest

from jobs import enqueue
from tests.harness import deaths, dying, ledger
from tests.harness.processes import Worker
from tests.harness.system import System
from tests.harness.tasks import add_effect

ENV = {
    "JOBS_RETRY_BASE_SECONDS": "1",
    "JOBS_EXTRA_TASK_MODULES": "tests.harness.tasks,tests.harness.dying,tests.harness.witness",
}
SILENT = "died without a word"


@pytest.fixture(scope="module")
def system(shared_system: System) -> System:
    shared_system.env |= ENV
    shared_system.relay()
    return shared_system


@pytest.fixture(scope="module")
def worker(system: System) -> Worker:
    """The one worker, two children: every test leaves it alive."""
    return system.worker()


@dataclass(frozen=True)
class Way:
    """A job, and what its dead letter has to say. `place`: empty where no code of it raised."""

    task: Any
    error_type: str
    said: str
    place: str = ""
    attempts: int = 1
    payload: dict[str, Any] | None = None


WAYS = {
    "its last retry is spent": Way(
        add_effect,
        "RuntimeError",
        "never fails on attempt 4",
        "harness/tasks.py:add_effect",
        attempts=4,
        payload={"label": "never", "failures": 9},
    ),
    "it has no retry": Way(
        dying.raise_error, "RuntimeError", "it can't be done", "harness/dying.py:raise_error"
    ),
    "no retry can cure its error": Way(
        dying.give_up, "GiveUp", "can't end differently", "harness/dying.py:give_up"
    ),
    "it outlasts the soft limit": Way(
        dying.outlast_soft_limit,
        "SoftTimeLimitExceeded",
        "SoftTimeLimitExceeded",
        "harness/dying.py:outlast_soft_limit",
    ),
    "it outlasts the hard limit": Way(dying.outlast_hard_limit, "ProcessDied", SILENT),
    "its child is killed": Way(dying.lose_child, "ProcessDied", SILENT),
    "it raises MemoryError": Way(
        dying.run_out_of_memory, "MemoryError", "no more", "harness/dying.py:run_out_of_memory"
    ),
    "it uses up its memory": Way(
        dying.use_up_memory, "MemoryError", "MemoryError", "harness/dying.py:use_up_memory"
    ),
    "it calls sys.exit": Way(dying.exit_process, "ProcessDied", SILENT),
    "it calls os._exit": Way(dying.exit_at_once, "ProcessDied", SILENT),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
def test_a_job_dies_once_and_its_dead_letter_says_why(system, worker, way):
    # Given a worker, and a job that dies in it
    pid = worker.pid
    with system.orm():
        job = enqueue(way.task, way.payload or {})

    # Then there is one dead letter, with the broker's reason and the ledger's count
    death = deaths.wait_for_death(system, job.pk)
    assert (death.row.reason, death.row.queue) == ("rejected", "jobs")
    assert death.row.type == way.task.name
    assert death.attempts == way.attempts
    assert ledger.outcomes(system, job.pk) == ["failed"] * way.attempts

    # And it says why
    assert death.row.error_type == way.error_type
    assert way.said in death.row.error
    assert death.row.place == way.place
    assert_cause_kept(death, way)

    # And the worker goes on
    deaths.assert_works_on(system)
    assert (worker.pid, worker.alive) == (pid, True)
    assert len(deaths.dead_letters_of(system, job.pk)) == 1


def assert_cause_kept(death: deaths.Death, way: Way) -> None:
    """The last attempt: its error, its worker and its times; a traceback where code raised."""
    cause = death.cause
    assert (cause.attempt, cause.error_type) == (way.attempts, way.error_type)
    assert cause.worker.startswith("worker@")
    assert cause.worker == death.row.worker
    assert cause.started_at < cause.ended_at
    assert bool(way.place) == ("Traceback" in cause.traceback)
    assert way.place.partition(":")[2] in cause.traceback


class TestWithRetriesLeft:
    """What ends a process is an error like any: it waits, and runs again."""

    @pytest.mark.parametrize(
        "task", [dying.outlast_hard_limit_once, dying.lose_child_once], ids=lambda task: task.name
    )
    def test_it_runs_again_and_is_no_dead_letter(self, system, worker, task):
        with system.orm():
            job = enqueue(task, {})
        ledger.wait_for_state(system, job.pk, "succeeded")
        deaths.wait_until_quiet(system)

        row = ledger.job_row(system, job.pk)
        assert ledger.outcomes(system, job.pk) == ["failed", "succeeded"]
        assert (row["failures"], row["losses"], row["dispatch"]) == (1, 0, 2)
        assert deaths.dead_letters_of(system, job.pk) == []
        [first] = system.rows(
            "SELECT * FROM jobs_attempt WHERE job_id = %s AND attempt = 1", job.pk
        )
        assert SILENT in first["error_message"]
        waited = row["started_at"] - first["ended_at"]
        assert waited.total_seconds() >= float(ENV["JOBS_RETRY_BASE_SECONDS"])
        assert worker.alive


class TestAfterAllThat:
    def test_no_second_dead_letter_has_come(self, system, worker):
        deaths.wait_until_quiet(system)
        twice = "SELECT job_id FROM jobs_deadletter GROUP BY job_id HAVING count(*) > 1"
        assert system.rows(twice) == []

    def test_the_parent_process_never_connected_to_the_database(self, system, worker):
        # Given that its children did, and said so
        connected = deaths.pids_that_connected(worker)
        assert connected & set(worker.children())

        # Then it did not
        assert worker.pid not in connected

    def test_no_result_was_written(self, system, worker):
        assert system.value("SELECT count(*) FROM django_celery_results_taskresult") == 0

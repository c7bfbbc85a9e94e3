"""What a test reads of the jobs in a system's database, past the product's own code."""

from typing import Any

from jobs.states import SETTLED
from tests.harness.processes import Process
from tests.harness.system import System

#: A safety net for a job that takes seconds, on a machine with much else to do.
SETTLE_SECONDS = 90


def state_of(system: System, job_id: object) -> str:
    return str(system.value("SELECT state FROM jobs_job WHERE id = %s", job_id))


def job_row(system: System, job_id: object) -> dict[str, Any]:
    [row] = system.rows("SELECT * FROM jobs_job WHERE id = %s", job_id)
    return row


def outcomes(system: System, job_id: object) -> list[str]:
    """Return how each attempt of a job ended, in order."""
    query = "SELECT outcome FROM jobs_attempt WHERE job_id = %s ORDER BY attempt"
    return [row["outcome"] for row in system.rows(query, job_id)]


def count_by_state(system: System) -> dict[str, int]:
    rows = system.rows("SELECT state, count(*) AS jobs FROM jobs_job GROUP BY state")
    return {row["state"]: row["jobs"] for row in rows}


def wait_for_state(
    system: System, job_id: object, *states: str, seconds: float = SETTLE_SECONDS
) -> str:
    """Wait until a job is in one of these states, and return which."""
    what = f"job {job_id} became {' or '.join(states)}"

    def reached() -> str:
        state = state_of(system, job_id)
        assert state in states or state not in SETTLED, f"{what}, but it is {state}"
        return state if state in states else ""

    return system.wait_for(reached, seconds=seconds, what=what)


def wait_until_stood_down(worker: Process, job_id: object) -> None:
    """Wait until a worker says that an attempt of its own was refused, or interrupted in time."""

    def said() -> bool:
        lines = worker.log_text().splitlines()
        return any("job.stood_down" in line and str(job_id) in line for line in lines)

    worker.wait_for(said, seconds=SETTLE_SECONDS, what=f"it stood down from job {job_id}")


def wait_until_all_settled(system: System, *, seconds: float = SETTLE_SECONDS) -> None:
    """Wait until no job is live: nothing lost, nothing stuck."""
    live = "SELECT count(*) = 0 FROM jobs_job WHERE state <> ALL(%s)"
    what = "every job settled"
    system.wait_for(lambda: system.value(live, list(SETTLED)), seconds=seconds, what=what)

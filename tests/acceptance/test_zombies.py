"""An attempt that dies or sleeps between its effect and its settle: one effect, whatever comes."""

import signal

import psycopg
import pytest

from jobs import enqueue
from tests.harness import faults, ledger
from tests.harness.processes import Worker, is_stopped
from tests.harness.system import System
from tests.harness.tasks import add_effect

#: Leases and sweeps of seconds instead of minutes; nothing else differs from production.
IMPATIENT = {
    "JOBS_LEASE_SECONDS": "3",
    "JOBS_HEARTBEAT_SECONDS": "1",
    "JOBS_RECOVERY_INTERVAL_SECONDS": "1",
    "JOBS_EXTRA_TASK_MODULES": "tests.harness.tasks,tests.harness.faults",
}

#: An atomic type holds its effect in a transaction; the others write behind the fence.
EVERY_TYPE = pytest.mark.parametrize("type_name", faults.ACCIDENTS)


@pytest.fixture(scope="module")
def system(shared_system: System) -> System:
    shared_system.env |= IMPATIENT
    shared_system.relay()
    return shared_system


@pytest.fixture(scope="module")
def workers(system: System) -> list[Worker]:
    """Two workers of one child each, so that it is another worker that takes over."""
    return [system.worker(name, concurrency=1) for name in ("first", "second")]


@EVERY_TYPE
class TestKilledBetweenEffectAndSettle:
    def test_another_attempt_has_the_effect_once(self, system, workers, type_name):
        # Given a child that is killed when it has done its work and not yet said so
        job = enqueue_accident(system, type_name, signal.SIGKILL)

        # When its lease is missed, or its message comes back dead, then the job runs again
        ledger.wait_for_state(system, job, "succeeded")
        assert ledger.outcomes(system, job) in (["lost", "succeeded"], ["failed", "succeeded"])
        assert effects_of(system, job) == [2]


@EVERY_TYPE
class TestAsleepUntilAnotherTookOver:
    def test_the_sleeper_writes_nothing_when_it_wakes(self, system, workers, type_name):
        # Given a child that is stopped between its effect and its settle
        job = enqueue_accident(system, type_name, signal.SIGSTOP)
        sleeper, pid = wait_for_sleeper(system, workers)

        # When another attempt has taken the job over and ended it, and the sleeper wakes
        ledger.wait_for_state(system, job, "succeeded")
        settled = ledger.job_row(system, job)
        assert is_stopped(pid)
        sleeper.resume(pid)

        # Then its write is refused: one effect, and a ledger that has not changed
        ledger.wait_until_stood_down(sleeper, job)
        assert ledger.job_row(system, job) == settled
        assert ledger.outcomes(system, job) == ["lost", "succeeded"]
        assert effects_of(system, job) == [2]

        # And its worker goes on: each takes the one of two jobs that the other leaves
        rest = [enqueue_errand(system, seconds=2) for _ in workers]
        assert {worker_of(system, each) for each in rest} == {"first", "second"}


class TestALockThatIsHeld:
    def test_keeps_recovery_from_that_job_only(self, system, workers):
        # Given a silent job whose row somebody has locked and does not let go
        held = enqueue_accident(system, "tests.fenced_accident", signal.SIGSTOP)
        sleeper, pid = wait_for_sleeper(system, workers)
        with psycopg.connect(system.database_url) as connection:
            connection.execute("SELECT 1 FROM jobs_job WHERE id = %s FOR UPDATE", [held])

            # When another job loses its process, then recovery passes by the first one
            lost = enqueue_accident(system, "tests.fenced_accident", signal.SIGKILL)
            ledger.wait_for_state(system, lost, "succeeded")
            assert ledger.outcomes(system, held) == []

        ledger.wait_for_state(system, held, "succeeded")
        sleeper.resume(pid)
        ledger.wait_until_stood_down(sleeper, held)


def enqueue_accident(system: System, type_name: str, signum: int) -> str:
    with system.orm():
        return str(enqueue(type_name, {"label": "once", "signal": signum}).pk)


def enqueue_errand(system: System, seconds: float = 0) -> str:
    with system.orm():
        return str(enqueue(add_effect, {"label": "errand", "seconds": seconds}).pk)


def effects_of(system: System, job: str) -> list[int]:
    """Return the attempts that left an effect of this job."""
    rows = system.rows("SELECT attempt FROM test_effects WHERE job_id = %s", job)
    return [row["attempt"] for row in rows]


def worker_of(system: System, job: str) -> str:
    ledger.wait_for_state(system, job, "succeeded")
    return str(ledger.job_row(system, job)["worker"]).partition("@")[0]


def wait_for_sleeper(system: System, workers: list[Worker]) -> tuple[Worker, int]:
    """Return the worker whose child stopped itself, and that child."""

    def stopped() -> list[tuple[Worker, int]]:
        return [(one, pid) for one in workers for pid in one.children() if is_stopped(pid)]

    return system.wait_for(stopped, seconds=60, what="a child stopped itself")[0]

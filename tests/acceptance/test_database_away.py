"""A database that is away for longer than a job's hard limit: stopped, or silent."""

import time

import pytest

from jobs import enqueue
from tests.acceptance.test_crash_points import IMPATIENT, SECONDS, assert_ends, dead_letters, drain
from tests.harness import ledger
from tests.harness.crash_points import env_for
from tests.harness.system import System
from tests.harness.tasks import add_effect, add_effect_fenced

#: Seconds. A type that no worker knew would be dead at once: no deploy excuses it.
LIMITS = {
    "JOBS_SOFT_LIMIT_SECONDS": "3",
    "JOBS_HARD_LIMIT_SECONDS": "4",
    "JOBS_UNKNOWN_TYPE_SECONDS": "0",
}
OUTAGE_SECONDS = 8


@pytest.fixture(autouse=True)
def impatient(system: System) -> None:
    system.env |= IMPATIENT | LIMITS | env_for(system, record_wait_seconds=2)


def be_away(postgres, how):
    """Let the database be away; both kinds end with a server that answers."""
    if how == "stopped":
        postgres.stop(immediate=True)
    else:
        postgres.pause()
    time.sleep(OUTAGE_SECONDS)
    postgres.start()


@pytest.mark.parametrize("how", ["stopped", "silent"])
class TestADatabaseThatIsAwayForLongerThanTheHardLimit:
    @pytest.mark.parametrize("task", [add_effect, add_effect_fenced])
    def test_while_a_job_runs_costs_an_attempt_at_most(self, system, own_postgres, how, task):
        system.worker()
        system.relay()
        with system.orm():
            job = enqueue(task, {"label": "once", "seconds": 1.5}).pk
        ledger.wait_for_state(system, job, "running")

        be_away(own_postgres, how)

        ledger.wait_for_state(system, job, "succeeded", seconds=SECONDS)
        drain(system)
        assert ledger.state_of(system, job) == "succeeded"
        assert system.effects("once") == 1
        assert dead_letters(system).keys() <= {"superseded"}  # Killed at its hard limit.
        assert ledger.outcomes(system, job)[-1] == "succeeded"

    def test_while_messages_are_claimed_loses_none_and_kills_none(self, system, own_postgres, how):
        # Given jobs whose messages lie in the broker
        with system.orm():
            jobs = [enqueue(add_effect, {"label": "each once"}).pk for _ in range(10)]
        system.relay()
        queued = {"queued": 10}
        system.wait_for(
            lambda: ledger.count_by_state(system) == queued, seconds=SECONDS, what="queued"
        )
        system.wait_for(lambda: system.queues.ready("jobs") == 10, seconds=SECONDS, what="sent")

        # When a worker comes up while the database is away
        if how == "stopped":
            own_postgres.stop(immediate=True)
        else:
            own_postgres.pause()
        worker = system.worker()
        time.sleep(OUTAGE_SECONDS)
        own_postgres.start()

        # Then each runs, once; nothing that did not run is dead
        assert_ends(system, state="succeeded", dead={}, alerts=0, jobs=10)
        assert system.effects("each once") == 10
        assert {tuple(ledger.outcomes(system, job)) for job in jobs} <= {
            ("succeeded",),
            ("lost", "succeeded"),
        }
        assert "job.failed" not in worker.log_text()

    def test_while_a_dead_letter_is_stored_sends_it_back_and_stores_it_once(
        self, system, own_postgres, how
    ):
        # Given a message that nobody can read, when the database is away
        worker = system.worker()
        if how == "stopped":
            own_postgres.stop(immediate=True)
        else:
            own_postgres.pause()
        system.queues.publish("jobs.garbage", b"\xff\xfe{")
        if how == "stopped":
            worker.wait_for_log("reject requeue=True", seconds=SECONDS)
        time.sleep(OUTAGE_SECONDS)

        # Then it waits, goes back, and is stored once the database is there
        own_postgres.start()
        assert_ends(system, state="", dead={"open": 1}, alerts=1, jobs=0)

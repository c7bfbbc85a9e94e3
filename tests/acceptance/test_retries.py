"""A job that fails again and again: its waits, its attempts, and its one dead letter."""

from datetime import timedelta

import pytest

from jobs import enqueue
from tests.harness import deaths, ledger
from tests.harness.system import System
from tests.harness.tasks import add_effect

#: One second instead of ten; the factor of two between the waits is the product's own.
BASE = {"JOBS_RETRY_BASE_SECONDS": "1"}


@pytest.fixture(scope="module")
def system(shared_system: System) -> System:
    shared_system.env |= BASE
    shared_system.relay()
    shared_system.worker()
    return shared_system


class TestAJobThatAlwaysFails:
    def test_runs_four_times_with_doubled_waits_and_is_dead_lettered_once(self, system):
        # Given a job whose every attempt ends in an error
        with system.orm():
            job = enqueue(add_effect, {"label": "never", "failures": 99})

        # When it has spent its retries
        waits = see_waits(system, job.pk)
        row = ledger.job_row(system, job.pk)

        # Then it waited 1, 2 and 4 times the base, by what the ledger says, and ran four times
        assert waits == {1: 1, 2: 2, 3: 4}
        assert ledger.outcomes(system, job.pk) == ["failed"] * 4
        assert (row["state"], row["failures"], row["losses"]) == ("failed", 4, 0)
        assert "RuntimeError: never fails on attempt 4" in row["error"]
        assert system.effects("never") == 0

        # And there is one dead letter of it, with all its retries spent
        death = deaths.wait_for_death(system, job.pk)
        headers = death.row.headers
        assert (headers["id"], headers["task"]) == (str(job.pk), "tests.add_effect")
        assert (headers["retries"], headers["dispatch"]) == (3, 4)
        assert death.attempts == 4

    def test_that_recovers_has_its_effect_once_and_no_dead_letter(self, system):
        with system.orm():
            job = enqueue(add_effect, {"label": "at last", "failures": 2})
        ledger.wait_for_state(system, job.pk, "succeeded")
        assert ledger.outcomes(system, job.pk) == ["failed", "failed", "succeeded"]
        assert system.effects("at last") == 1
        deaths.wait_until_quiet(system)
        assert deaths.dead_letters_of(system, job.pk) == []


def see_waits(system: System, job_id: object) -> dict[int, int]:
    """Watch a job until it has failed; return the seconds it waited after each attempt."""
    query = """
        SELECT j.state, j.attempt, j.run_at - a.ended_at AS wait
          FROM jobs_job j LEFT JOIN jobs_attempt a ON a.job_id = j.id AND a.attempt = j.attempt
         WHERE j.id = %s"""
    waits: dict[int, int] = {}

    def failed() -> bool:
        [row] = system.rows(query, job_id)
        if row["state"] == "retrying":
            waits[row["attempt"]] = whole_seconds(row["wait"])
        return bool(row["state"] == "failed")

    system.wait_for(failed, seconds=ledger.SETTLE_SECONDS, what="the job failed")
    return waits


def whole_seconds(wait: timedelta) -> int:
    """Round up: the end is written after the wait, in the next statement of the transaction."""
    return -(-wait // timedelta(seconds=1))

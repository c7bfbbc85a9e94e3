"""The product's own waits, by the clock: 10, 20 and 40 seconds. `make slow` runs it."""

import pytest

from jobs import enqueue
from tests.harness import deaths, ledger
from tests.harness.system import System
from tests.harness.tasks import add_effect_then_wait

WAITS_SECONDS = (10, 20, 40)
TOLERANCE_SECONDS = 2


@pytest.mark.slow
class TestAJobThatAlwaysFails:
    def test_waits_10_20_and_40_seconds_and_is_dead_after_its_fourth_run(self, system):
        # Given a product as it is delivered, and a job whose first line leaves the time
        assert "JOBS_RETRY_BASE_SECONDS" not in system.env
        system.relay()
        system.worker()
        with system.orm():
            job = enqueue(add_effect_then_wait, {"label": "run", "seconds": 1, "failures": 9})

        # When it has died
        death = deaths.wait_for_death(system, job.pk)

        # Then each wait was what it should be, from the end of a run to the next one's first line
        waits = measured_waits(system, job.pk)
        print("waited", ", ".join(f"{wait:.2f} s" for wait in waits))
        assert len(waits) == len(WAITS_SECONDS)
        for wait, promised in zip(waits, WAITS_SECONDS, strict=True):
            assert promised <= wait <= promised + TOLERANCE_SECONDS

        # And it ran four times
        assert ledger.outcomes(system, job.pk) == ["failed"] * 4
        assert system.effects("run") == 4
        assert death.attempts == 4


def measured_waits(system: System, job_id: object) -> list[float]:
    query = """
        SELECT extract(epoch FROM e.at - a.ended_at) AS wait
          FROM jobs_attempt a
          JOIN test_effects e ON e.job_id = a.job_id AND e.attempt = a.attempt + 1
         WHERE a.job_id = %s ORDER BY a.attempt"""
    return [float(row["wait"]) for row in system.rows(query, job_id)]

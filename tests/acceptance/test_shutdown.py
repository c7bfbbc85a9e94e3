"""A worker that is told to stop in the middle of a long export."""

import signal

import pytest

from tests.harness import exporting, ledger
from tests.harness.client import Client
from tests.harness.system import System

ROWS = 60_000


@pytest.fixture
def client(system: System) -> Client:
    """A tenant with enough items for an export that lasts, and nothing else that works yet."""
    exporting.add_items(system, system.people.acme.id, ROWS)
    system.relay()
    return system.web().client(system.people.acme.token)


class TestSigterm:
    def test_hands_a_long_export_to_another_worker_and_spends_no_attempt(self, system, client):
        # Given an export under way in a worker that works slowly
        first = system.worker(
            "first",
            env={
                "JOBS_EXTRA_TASK_MODULES": "tests.harness.slow_stores",
                "WORKER_SOFT_SHUTDOWN_SECONDS": "1",
            },
        )
        accepted = exporting.request_export(client)
        system.wait_for(
            lambda: 0 < exporting.rows_done(client, accepted["export_id"]) < ROWS,
            seconds=60,
            what="it is under way",
        )

        # When that worker is told to stop, and another one starts
        first.send(signal.SIGTERM)
        second = system.worker("second")
        first.wait_until_gone()

        # Then the other ends the export, and the first has ended by itself
        export = exporting.wait_for_export(client, accepted["export_id"])
        assert (export["attempts"], export["row_count"]) == (1, ROWS)
        assert exporting.digest(exporting.download(client, export)) == export["sha256"]
        assert ledger.outcomes(system, accepted["job_id"]) == ["handed_over", "succeeded"]
        job = ledger.job_row(system, accepted["job_id"])
        assert (job["failures"], job["losses"], job["attempt"]) == (0, 0, 2)
        assert job["worker"].startswith("second@")
        assert second.alive
        print(f"the first worker's exit code: {first.exit_code}")

    def test_lets_a_short_job_end(self, system, client):
        # Given a job that ends within the patience of its worker's stop
        first = system.worker("first", env={"WORKER_SOFT_SHUTDOWN_SECONDS": "5"})
        accepted = exporting.request_export(client)
        ledger.wait_for_state(system, accepted["job_id"], "running", "succeeded")
        first.terminate()
        assert ledger.outcomes(system, accepted["job_id"]) == ["succeeded"]

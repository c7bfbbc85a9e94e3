"""An export that sleeps just before it publishes its file: the bytes of its successor stay."""

from collections.abc import Iterator

import pytest

from tests.harness import exporting, ledger
from tests.harness.processes import Worker, is_stopped
from tests.harness.s3 import make_bucket, s3_server
from tests.harness.system import System

#: Leases and sweeps of seconds instead of minutes; nothing else differs from production.
IMPATIENT = {
    "JOBS_LEASE_SECONDS": "3",
    "JOBS_HEARTBEAT_SECONDS": "1",
    "JOBS_RECOVERY_INTERVAL_SECONDS": "1",
}
ROWS = 2_000


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, system: System) -> Iterator[None]:
    """Make a system keep its files in its folder, or in a bucket of a real S3 server."""
    system.env |= IMPATIENT
    if request.param == "file":
        yield
        return
    with s3_server() as endpoint:
        bucket = make_bucket(endpoint)
        system.env |= bucket.environment | {"EXPORTS_STORAGE_URL": bucket.url}
        yield


@pytest.mark.usefixtures("store")
class TestAsleepBeforeThePublish:
    def test_the_sleeper_publishes_nothing_when_it_wakes(self, system):
        # Given an attempt that is stopped when its file is whole and not yet published
        people = system.people.acme
        exporting.add_items(system, people.id, ROWS)
        system.relay()
        client = system.web().client(people.token)
        stopping = {"JOBS_EXTRA_TASK_MODULES": "tests.harness.stopping_stores"}
        first = system.worker("first", concurrency=1, env=stopping)
        accepted = exporting.request_export(client)
        sleeper = wait_for_sleeper(system, first)

        # When another attempt, of more rows, has published its own, and the sleeper wakes
        exporting.add_items(system, people.id, 1, first=ROWS + 1)
        system.worker("second")
        export = exporting.wait_for_export(client, accepted["export_id"])
        bytes_of_the_winner = exporting.download(client, export)
        assert is_stopped(sleeper)
        first.resume(sleeper)
        ledger.wait_until_stood_down(first, accepted["job_id"])

        # Then the winner's bytes stay, and so does what the ledger says of them
        assert exporting.download(client, export) == bytes_of_the_winner
        assert exporting.digest(bytes_of_the_winner) == export["sha256"]
        assert exporting.see_export(client, accepted["export_id"]) == export
        assert export["row_count"] == ROWS + 1
        assert ledger.outcomes(system, accepted["job_id"]) == ["lost", "succeeded"]


def wait_for_sleeper(system: System, worker: Worker) -> int:
    """Return the worker's child that stopped itself."""

    def stopped() -> list[int]:
        return [pid for pid in worker.children() if is_stopped(pid)]

    return system.wait_for(stopped, seconds=60, what="a child stopped itself")[0]

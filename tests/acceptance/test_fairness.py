"""One tenant's backlog and another tenant's wait, counted in jobs that went before."""

from typing import Any
from uuid import UUID

import pytest

from jobs import enqueue, enqueue_many
from tests.harness import ledger
from tests.harness.system import System
from tests.harness.tasks import add_effect, do_nothing

BACKLOG = 10_000
JOB_SECONDS = 0.1
SLOTS = 2
PROBES = 3

#: One that the relay took with its last look before the commit, and one it takes with the same.
RACES = 2


def start(system: System, in_flight_max: int) -> None:
    system.env["JOBS_IN_FLIGHT_MAX"] = str(in_flight_max)
    system.relay()
    system.worker(concurrency=SLOTS)


@pytest.mark.parametrize("in_flight_max", [1, 100])
class TestATenantWithABacklog:
    def test_lets_others_in_after_the_jobs_in_flight_at_most(self, system, in_flight_max):
        # Given how long a tenant waits for its job to start where nobody else is
        start(system, in_flight_max)
        idle = [wait_of(probe(system)) for _ in range(PROBES)]

        # When another tenant has ten thousand jobs waiting, and works them off
        enqueue_backlog(system)
        probes = [probe(system) for _ in range(PROBES)]

        # Then no more of them start before our job than may be in flight at once
        ahead = [count_started_before(system, each) for each in probes]
        print_waits(in_flight_max, idle, [wait_of(each) for each in probes], ahead)
        assert max(ahead) <= in_flight_max + RACES
        assert started_of_backlog(system) < BACKLOG


def enqueue_backlog(system: System) -> None:
    """Enqueue the backlog, and wait until it is being worked off."""
    payload = {"label": "backlog", "seconds": JOB_SECONDS}
    with system.orm():
        enqueue_many(add_effect, [payload] * BACKLOG, tenant_id=UUID(system.people.acme.id))
    system.wait_for(
        lambda: started_of_backlog(system) > 2 * SLOTS, seconds=60, what="the backlog moves"
    )


def probe(system: System) -> dict[str, Any]:
    """Enqueue a job of the other tenant, wait until it has run, and return its row."""
    with system.orm():
        payload = {"label": "probe"}
        job = enqueue(do_nothing, payload, tenant_id=UUID(system.people.globex.id))
    ledger.wait_for_state(system, job.pk, "succeeded")
    return ledger.job_row(system, job.pk)


def wait_of(job: dict[str, Any]) -> float:
    return float((job["started_at"] - job["created_at"]).total_seconds())


def count_started_before(system: System, job: dict[str, Any]) -> int:
    """Return how many jobs of the backlog started while this one waited."""
    query = """
        SELECT count(*) FROM jobs_job
         WHERE tenant_id = %s AND started_at > %s AND started_at < %s"""
    tenant = system.people.acme.id
    return int(system.value(query, tenant, job["created_at"], job["started_at"]))


def started_of_backlog(system: System) -> int:
    query = "SELECT count(*) FROM jobs_job WHERE tenant_id = %s AND attempt > 0"
    return int(system.value(query, system.people.acme.id))


def print_waits(in_flight: int, idle: list[float], busy: list[float], ahead: list[int]) -> None:
    most = in_flight / SLOTS * JOB_SECONDS
    print(f"\nmax_in_flight {in_flight}: idle at most {max(idle):.3f} s; behind a backlog at most")
    print(f"{max(busy):.3f} s with {ahead} jobs ahead; the formula: {most:.2f} s and the idle time")

"""A job that kills its whole worker, again and again, while somebody starts it anew."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from jobs import enqueue
from project.services.child import ServiceFailed
from tests.harness import deaths, dying, ledger
from tests.harness.processes import Worker
from tests.harness.system import System

TASKS = {"JOBS_EXTRA_TASK_MODULES": "tests.harness.tasks,tests.harness.dying"}


class Supervisor:
    """Starts a worker whenever there is none."""

    def __init__(self, system: System, rest: Callable[[], None] | None = None) -> None:
        self.system = system
        self.rest = rest
        self.started = 0

    def until(self, done: Callable[[], Any]) -> None:
        """Start workers of one child each until `done()`; the last one stays."""
        while not done():
            assert self.started < 12, "It kills worker after worker."
            if self.started and self.rest:
                self.rest()
            self.started += 1
            worker = self.start()
            self.system.wait_for(
                partial(self._is_over, worker, done),
                seconds=deaths.SECONDS,
                what="its end, or its worker's",
            )

    def start(self) -> Worker | None:
        """None: it was dead before it had said that it is ready."""
        try:
            return self.system.worker(f"worker-{self.started}", concurrency=1)
        except ServiceFailed:
            return None

    @staticmethod
    def _is_over(worker: Worker | None, done: Callable[[], Any]) -> bool:
        return bool(done()) or worker is None or not worker.alive


class TestUntilItsLossesAreSpent:
    def test_it_dies_once_and_the_worker_after_it_lives(self, system):
        # Given a job that kills its worker, and patience for two losses
        system.env |= {**TASKS, "JOBS_LOSSES_MAX": "2"}
        system.relay()
        with system.orm():
            job = enqueue(dying.kill_worker, {})

        # When somebody starts a worker after each
        supervisor = Supervisor(system)
        supervisor.until(lambda: ledger.job_row(system, job.pk)["dead_lettered_at"])

        # Then the third was its last, and the fourth stores its dead letter
        death = deaths.wait_for_death(system, job.pk)
        assert supervisor.started == 4
        assert (death.row.reason, death.row.queue) == ("rejected", "jobs")
        assert (death.row.error_type, death.attempts) == ("LossesSpent", 0)
        assert "Its process died 3 times" in death.row.error
        assert ledger.outcomes(system, job.pk) == ["lost"] * 3
        assert death.cause.attempt == 3
        assert death.cause.worker.startswith("worker-3@")
        deaths.assert_works_on(system)


class TestUntilTheBrokerHasHadEnough:
    def test_it_dies_of_the_delivery_limit(self, system):
        # Given a broker that delivers a message three times, and a ledger with more patience
        system.env |= {
            **TASKS,
            "JOBS_LOSSES_MAX": "50",
            "JOBS_LEASE_SECONDS": "2",
            "JOBS_HEARTBEAT_SECONDS": "1",
            "JOBS_RECOVERY_INTERVAL_SECONDS": "600",  # The message's own way, not the lease's.
        }
        with delivered_three_times(system):
            system.relay()
            with system.orm():
                job = enqueue(dying.kill_worker, {})
            # A copy that was sent too often says nothing of one whose lease lives: let each end.
            supervisor = Supervisor(system, rest=lambda: wait_for_lease(system, job.pk))
            supervisor.until(lambda: ledger.job_row(system, job.pk)["dead_lettered_at"])

            # Then the broker's word is kept, and the process that died is what it died of
            death = deaths.wait_for_death(system, job.pk)
            assert supervisor.started == 4
            assert (death.row.reason, death.row.queue) == ("delivery_limit", "jobs")
            assert (death.row.error_type, death.attempts) == ("ProcessDied", 1)
            assert "died without a word" in death.row.error
            assert ledger.outcomes(system, job.pk) == ["lost", "lost", "failed"]
            assert death.cause.attempt == 3
            deaths.assert_works_on(system)


def wait_for_lease(system: System, job_id: object) -> None:
    query = "SELECT 1 FROM jobs_job WHERE id = %s AND lease_until > now()"
    system.wait_for(
        lambda: not system.rows(query, job_id), seconds=deaths.SECONDS, what="the lease's end"
    )


@contextmanager
def delivered_three_times(system: System) -> Iterator[None]:
    """Lower the lanes' delivery limit by a policy: the smaller of both holds."""
    policy = {"pattern": "^jobs$", "definition": {"delivery-limit": 2}, "apply-to": "queues"}
    path = f"policies/{system.name}/impatient"
    system.rabbitmq.management.call("PUT", path, policy)
    yield
    system.rabbitmq.management.call("DELETE", path)

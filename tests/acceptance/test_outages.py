"""What a lost broker, a database that is away, and a long backlog do to jobs: nothing."""

import time

import pytest

from jobs import enqueue, enqueue_many
from jobs.models import Job
from project.services import Postgres, RabbitMQ
from tests.harness import ledger
from tests.harness.system import System
from tests.harness.tasks import add_effect, do_nothing

#: Recovery at a pace for tests; what it takes for proof is the same.
QUICK = {
    "JOBS_RECOVERY_INTERVAL_SECONDS": "1",
    "JOBS_STALL_AFTER_SECONDS": "2",
    "JOBS_COPY_INTERVAL_SECONDS": "10",
    "JOBS_RETRY_BASE_SECONDS": "1",
}
ONCE_EACH = "SELECT COUNT(*), COUNT(DISTINCT job_id) AS jobs FROM test_effects"


def enqueue_errands(system: System, count: int, **errand: object) -> None:
    with system.orm():
        errands = [{"label": "errand", **errand} for _ in range(count)]
        enqueue_many(add_effect, errands)


def assert_each_once(system: System, count: int) -> None:
    assert ledger.count_by_state(system) == {"succeeded": count}
    [found] = system.rows(ONCE_EACH)
    assert (found["count"], found["jobs"]) == (count, count)


class TestAWipedBroker:
    def test_costs_none_of_five_hundred_unfinished_jobs(
        self, system: System, own_rabbitmq: RabbitMQ
    ) -> None:
        # Given 500 jobs: some queued, some running, some retrying, most waiting for their turn
        system.env |= QUICK
        system.relay()
        system.worker()
        enqueue_errands(system, 480, seconds=0.02)
        enqueue_errands(system, 20, failures=1)
        system.wait_for(lambda: system.effects("errand") > 20, seconds=60, what="some were done")

        # When the broker loses everything that it holds
        own_rabbitmq.wipe()

        # Then what is missing is declared, and all of them finish
        system.run("declare_topology")
        ledger.wait_until_all_settled(system, seconds=200)
        assert_each_once(system, 500)


class TestAPurgedQueue:
    def test_costs_none_of_two_hundred_queued_jobs(self, system: System) -> None:
        system.env |= {**QUICK, "JOBS_IN_FLIGHT_MAX": "1000"}
        system.relay()
        enqueue_errands(system, 200)
        queued = "SELECT COUNT(*) = 200 FROM jobs_job WHERE state = 'queued'"
        system.wait_for(lambda: system.value(queued), seconds=60, what="all were handed over")

        system.queues.purge("jobs")
        system.worker()

        ledger.wait_until_all_settled(system, seconds=200)
        assert_each_once(system, 200)


class TestADatabaseThatIsAway:
    def test_for_half_a_minute_costs_none_of_a_hundred_deliveries(
        self, system: System, own_postgres: Postgres
    ) -> None:
        # Given a hundred messages in the broker
        system.relay()
        enqueue_errands(system, 100)
        queued = "SELECT COUNT(*) = 100 FROM jobs_job WHERE state = 'queued'"
        system.wait_for(lambda: system.value(queued), seconds=60, what="all were handed over")

        # When the database goes away as the worker begins, for half a minute
        worker = system.worker()
        own_postgres.stop(immediate=True)
        time.sleep(30)
        own_postgres.start()

        # Then every one of them runs, and none has died of it
        ledger.wait_until_all_settled(system, seconds=200)
        assert_each_once(system, 100)
        assert system.value("SELECT COUNT(*) FROM jobs_deadletter") == 0
        assert worker.alive


class TestABacklog:
    @pytest.mark.parametrize(
        "count", [5_000, pytest.param(100_000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
    )
    def test_is_not_sent_again_while_its_lane_drains(self, system: System, count: int) -> None:
        # Given so many jobs with a message each, and a worker that takes one after the other
        system.env |= {**QUICK, "JOBS_IN_FLIGHT_MAX": "1000000"}
        system.relay()
        with system.orm():
            for _ in range(count // 5_000):
                enqueue_many(do_nothing, [{"label": "backlog"}] * 5_000)
        queued = "SELECT COUNT(*) FROM jobs_job WHERE state = 'queued'"
        system.wait_for(lambda: system.value(queued) == count, seconds=300, what="all were sent")

        # When recovery looks again and again while the lane drains
        system.worker(concurrency=1)
        system.wait_for(lambda: system.value(queued) < count * 0.9, seconds=300, what="it drained")
        time.sleep(10)

        # Then not one copy was sent
        assert system.value("SELECT COUNT(*) FROM jobs_job WHERE copies > 0") == 0
        assert system.value(queued) + ledger.count_by_state(system)["succeeded"] >= count - 1


class TestAnOlderDatabase:
    def test_that_was_restored_finishes_its_own_jobs_and_forgets_newer_messages(
        self, system: System
    ) -> None:
        # Given a backup with two unfinished jobs, and newer jobs whose messages are in the broker
        system.env |= QUICK
        relay = system.relay()
        with system.orm():
            old = [enqueue(add_effect, {"label": "old"}) for _ in range(2)]
        queued = "SELECT COUNT(*) FROM jobs_job WHERE state = 'queued'"
        system.wait_for(lambda: system.value(queued) == 2, seconds=60, what="they were sent")
        relay.terminate()
        with system.orm():
            enqueue(add_effect, {"label": "newer"})
        relay = system.relay()
        system.wait_for(lambda: system.value(queued) == 3, seconds=60, what="it was sent")
        relay.terminate()

        # When the backup is restored: the newer job is gone, an old one was not handed over yet
        with system.orm():
            Job.objects.exclude(pk__in=[job.pk for job in old]).delete()
            Job.objects.filter(pk=old[0].pk).update(state="waiting", dispatch=0)
        system.relay()
        worker = system.worker()

        # Then the jobs that it knows run once each, and the message of the other is forgotten
        ledger.wait_until_all_settled(system, seconds=120)
        system.wait_for(lambda: not system.queues.ready("jobs"), seconds=60, what="it was empty")
        assert (system.effects("old"), system.effects("newer")) == (2, 0)
        worker.wait_for_log("its job is not in the ledger")
        assert system.value("SELECT COUNT(*) FROM jobs_deadletter") == 0

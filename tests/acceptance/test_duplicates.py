"""One message that is delivered many times, some of them at the same moment: it runs once."""

from typing import Any

from jobs import enqueue
from tests.harness import exporting, ledger
from tests.harness.processes import Worker
from tests.harness.system import System
from tests.harness.tasks import add_effect_then_wait

DELIVERIES = 10


class TestTheSameMessageTenTimes:
    def test_runs_once(self, system):
        # Given a job that lasts, and its message, taken from the broker before any worker came
        relay = system.relay()
        with system.orm():
            payload = {"label": "once", "seconds": 2}
            job = enqueue(add_effect_then_wait, payload)
        message = take_message(system, "jobs")
        relay.kill()

        # When it is delivered ten times, the first two to two workers at the same moment
        deliver_again(system, "jobs", message, workers=start_workers(system))

        # Then one attempt ran, which is seen by its effect, and nine deliveries were acknowledged
        assert ledger.outcomes(system, job.pk) == ["succeeded"]
        assert system.effects("once") == 1
        assert ledger.job_row(system, job.pk)["attempt"] == 1
        reasons = copies_ignored(system, str(job.pk))
        assert len(reasons) == DELIVERIES - 1
        assert any("the job is running" in reason for reason in reasons)

    def test_makes_one_file(self, system):
        # Given an export, and its message
        people = system.people.acme
        exporting.add_items(system, people.id, 5_000)
        relay = system.relay()
        client = system.web().client(people.token)
        accepted = exporting.request_export(client)
        message = take_message(system, "exports")
        relay.kill()

        # When it is delivered ten times
        system.env["JOBS_EXTRA_TASK_MODULES"] = "tests.harness.slow_stores"
        deliver_again(system, "exports", message, workers=start_workers(system))

        # Then there is one file, of one attempt, and one transition to completed
        export = exporting.wait_for_export(client, accepted["export_id"])
        assert ledger.outcomes(system, accepted["job_id"]) == ["succeeded"]
        assert (export["attempts"], export["row_count"]) == (1, 5_000)
        assert system.value("SELECT parts_started FROM exports_export") == 1
        assert len(exporting.stored_files(system)) == 1
        assert len(copies_ignored(system, accepted["job_id"])) == DELIVERIES - 1
        assert exporting.digest(exporting.download(client, export)) == export["sha256"]


def start_workers(system: System) -> list[Worker]:
    """Start two workers of one child each; each holds one message at a time."""
    return [system.worker(name, concurrency=1) for name in ("first", "second")]


def take_message(system: System, lane: str) -> Any:
    system.wait_for(
        lambda: queue_is_there(system, lane) and system.queues.ready(lane) == 1,
        seconds=60,
        what=f"one message in {lane}",
    )
    [message] = system.queues.take(lane)
    return message


def queue_is_there(system: System, lane: str) -> bool:
    return any(queue["name"] == lane for queue in system.rabbitmq.management.queues(system.name))


def deliver_again(system: System, lane: str, message: Any, *, workers: list[Worker]) -> None:
    """Publish a message as often as DELIVERIES says, and wait until all have been received."""
    key = f"{lane}.{message.headers['task']}"
    system.queues.publish(key, message.body, headers=message.headers, times=DELIVERIES)
    received = f"[{message.headers['id']}] received"
    system.wait_for(
        lambda: sum(one.log_text().count(received) for one in workers) == DELIVERIES,
        seconds=60,
        what="every copy was received",
    )
    assert all(received in one.log_text() for one in workers)
    ignored = DELIVERIES - 1
    system.wait_for(
        # Not the broker's count, which is up to five seconds old.
        lambda: len(copies_ignored(system, message.headers["id"])) >= ignored,
        seconds=60,
        what="every other copy was ignored",
    )
    job_id = message.headers["id"]  # Its announcement waits for a relay, which is dead.
    settled = "SELECT settled_at IS NOT NULL FROM jobs_job WHERE id = %s"
    system.wait_for(lambda: system.value(settled, job_id), seconds=60, what="its job has settled")
    assert all(one.alive for one in workers)


def copies_ignored(system: System, job_id: str) -> list[str]:
    """Return what the workers wrote of the deliveries that they did not run."""
    lines = [line for one in system.processes for line in one.log_text().splitlines()]
    return [line for line in lines if "job.copy_ignored" in line and job_id in line]

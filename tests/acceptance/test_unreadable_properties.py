"""A message whose properties py-amqp can't read: it dies, and the worker does not."""

from datetime import datetime
from typing import Any

from jobs import enqueue
from tests.harness import ledger
from tests.harness.system import System
from tests.harness.tasks import do_nothing


class Milliseconds(datetime):
    """A time that py-amqp writes as milliseconds, where AMQP says seconds: the year 55,000."""

    def utctimetuple(self) -> Any:
        year, month, day, *_ = super().utctimetuple()
        return year, month, day, 10**9, 0, 0  # As many hours later.


class TestATimestampInMilliseconds:
    def test_ends_as_a_dead_letter_and_the_worker_goes_on(self, system: System) -> None:
        system.relay()
        worker = system.worker()
        pid = worker.pid

        # Given a message with a body, from a program that writes its times in milliseconds
        headers = {"task": "tests.do_nothing", "id": "of-its-own", "sent_at": Milliseconds.now()}
        system.queues.publish("jobs.tests.do_nothing", b"[[], {}, {}]", headers=headers)

        # Then it is stored, byte for byte, and the queues are empty
        system.wait_for(
            lambda: system.value("SELECT COUNT(*) FROM jobs_deadletter"),
            seconds=60,
            what="it was stored",
        )
        [letter] = system.rows("SELECT body, error FROM jobs_deadletter")
        assert bytes(letter["body"]) == b"[[], {}, {}]"
        assert "No worker could read its message" in letter["error"]

        # And the same worker runs the next good one
        with system.orm():
            job = enqueue(do_nothing, {"label": "after it"})
        ledger.wait_for_state(system, job.pk, "succeeded")
        assert (worker.pid, worker.alive) == (pid, True)

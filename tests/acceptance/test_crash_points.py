"""Processes that die exactly between two of their lasting effects, at each point by its name."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.utils import timezone

from jobs import enqueue
from jobs.operations import cancel_job
from project.services.ports import LOOPBACK
from tests.harness import ledger
from tests.harness.crash_points import env_for, mark_of, raise_error, raise_when_cancelled
from tests.harness.system import System
from tests.harness.tasks import add_effect, add_effect_fenced

DEAD = "jobs.dead_letters"
LANES = ("jobs", "exports", "notifications", "timers", "alerts")
SECONDS = 90  #: A safety net.

#: Recovery by seconds instead of minutes; nothing else differs from production.
IMPATIENT = {
    "JOBS_RETRY_BASE_SECONDS": "1",
    "JOBS_RECOVERY_INTERVAL_SECONDS": "1",
    "JOBS_STALL_AFTER_SECONDS": "2",
    "JOBS_COPY_INTERVAL_SECONDS": "5",
    "JOBS_BROKER_TIMEOUT_SECONDS": "3",
}


@pytest.fixture(autouse=True)
def impatient(system: System) -> None:
    system.env |= IMPATIENT | env_for(system)


def crash(system: System, point: str, by: str = "child") -> dict[str, str]:
    return env_for(system, point, by=by)


def wait_for_crash(system: System) -> None:
    system.wait_for(mark_of(system).exists, seconds=SECONDS, what="a crash")


def count(system: System, table: str, **columns: object) -> int:
    where = " AND ".join(f"{name} = %s" for name in columns) or "true"
    query = f"SELECT count(*) FROM {table} WHERE {where}"
    return int(system.value(query, *columns.values()))


def dead_letters(system: System) -> dict[str, int]:
    rows = system.rows("SELECT state, count(*) AS n FROM jobs_deadletter GROUP BY state")
    return {row["state"]: row["n"] for row in rows}


def assert_ends(
    system: System, *, state: str, dead: dict[str, int], alerts: int, jobs: int = 1
) -> None:
    """Wait for the end; then no queue holds anything more that could change it."""
    ledger.wait_until_all_settled(system, seconds=SECONDS)
    system.wait_for(lambda: dead_letters(system) == dead, seconds=SECONDS, what=f"{dead}")
    drain(system)
    assert ledger.count_by_state(system) == ({state: jobs} if jobs else {})
    assert dead_letters(system) == dead
    assert count(system, "jobs_alert") == alerts


def drain(system: System) -> None:
    """Let what is on its way arrive, until workers that stop in order leave nothing behind."""
    for _ in range(5):
        for process in system.processes:
            if process.alive:
                process.terminate()
        busy = [name for name in (*LANES, DEAD) if system.queues.consumers(name)]
        assert busy == []
        if not waiting(system):
            return
        system.worker("last")
        system.wait_for(lambda: not held(system), seconds=SECONDS, what="empty queues")
    raise AssertionError(f"Messages that nobody gets rid of: {waiting(system)}")


def waiting(system: System) -> dict[str, int]:
    ready = {name: system.queues.ready(name) for name in (*LANES, DEAD)}
    return {name: number for name, number in ready.items() if number}


def held(system: System) -> dict[str, int]:
    """Return what waits or is being worked on, by the broker's own account: a little late."""
    queues = system.rabbitmq.management.queues(system.name)
    return {queue["name"]: queue["messages"] for queue in queues if queue.get("messages")}


def enqueue_one(system: System, task: Any, payload: dict[str, Any]) -> Any:
    with system.orm():
        return enqueue(task, payload).pk


class TestAChildThatDies:
    """Its worker lives, and rejects the message."""

    def test_between_settling_failed_and_the_reject(self, system):
        worker = system.worker(env=crash(system, "child.after_settled_failed"))
        job = enqueue_one(system, raise_error, {"label": "dead"})
        system.relay()

        wait_for_crash(system)

        assert_ends(system, state="failed", dead={"open": 1}, alerts=1)
        assert ledger.outcomes(system, job) == ["failed"]
        cause = system.value("SELECT error_type FROM jobs_deadletter")
        assert cause == "RuntimeError", worker.log_tail()

    def test_between_retrying_and_celerys_retry(self, system):
        # Then its attempt counts once, and its message is one that the job has outlived
        system.worker(env=crash(system, "child.after_retrying"))
        job = enqueue_one(system, add_effect, {"label": "once", "failures": 1})
        system.relay()

        wait_for_crash(system)

        assert_ends(system, state="succeeded", dead={"superseded": 1}, alerts=0)
        assert ledger.outcomes(system, job) == ["failed", "succeeded"]
        assert system.effects("once") == 1

    @pytest.mark.parametrize("task", [add_effect, add_effect_fenced])
    def test_after_succeeded_and_before_the_acknowledgement(self, system, task):
        system.worker(env=crash(system, "child.after_succeeded"))
        job = enqueue_one(system, task, {"label": "once"})
        system.relay()

        wait_for_crash(system)

        assert_ends(system, state="succeeded", dead={"superseded": 1}, alerts=0)
        assert ledger.outcomes(system, job) == ["succeeded"]
        assert system.effects("once") == 1


class TestAWorkerThatDiesWithAllItsChildren:
    """The broker delivers the message to another one."""

    def test_between_settling_failed_and_the_reject(self, system):
        doomed = system.worker(env=crash(system, "child.after_settled_failed", "group"))
        job = enqueue_one(system, raise_error, {"label": "dead"})
        system.relay()
        doomed.wait_until_gone()

        system.worker("second")

        assert_ends(system, state="failed", dead={"open": 1}, alerts=1)
        assert ledger.outcomes(system, job) == ["failed"]

    def test_between_retrying_and_celerys_retry(self, system):
        doomed = system.worker(env=crash(system, "child.after_retrying", "group"))
        job = enqueue_one(system, add_effect, {"label": "once", "failures": 1})
        system.relay()
        doomed.wait_until_gone()

        system.worker("second")

        assert_ends(system, state="succeeded", dead={}, alerts=0)
        assert ledger.outcomes(system, job) == ["failed", "succeeded"]
        assert system.effects("once") == 1

    @pytest.mark.parametrize("task", [add_effect, add_effect_fenced])
    def test_after_succeeded_and_before_the_acknowledgement(self, system, task):
        doomed = system.worker(env=crash(system, "child.after_succeeded", "group"))
        job = enqueue_one(system, task, {"label": "once"})
        system.relay()
        doomed.wait_until_gone()

        system.worker("second")

        assert_ends(system, state="succeeded", dead={}, alerts=0)
        assert ledger.outcomes(system, job) == ["succeeded"]
        assert system.effects("once") == 1


class TestARelayThatDies:
    @pytest.mark.parametrize("point", ["relay.after_take", "relay.after_publish"])
    def test_on_the_way_of_a_job_lets_another_relay_send_it(self, system, point):
        system.worker()
        jobs = [enqueue_one(system, add_effect, {"label": "each once"}) for _ in range(20)]
        system.relay(env=crash(system, point)).wait_until_gone()

        system.relay()

        assert_ends(system, state="succeeded", dead={}, alerts=0, jobs=20)
        assert all(ledger.outcomes(system, job) == ["succeeded"] for job in jobs)
        assert system.effects("each once") == 20

    def test_between_postponing_and_sending_a_dead_letter_lets_another_one_send_it(self, system):
        # Given a job that failed where no message was at hand
        system.env["JOBS_DEAD_LETTER_AFTER_SECONDS"] = "3"
        with system.orm():
            later = timezone.now() + timedelta(hours=1)
            enqueue(add_effect, {"label": "never"}, run_at=later, expires_at=timezone.now())
        system.relay(env=crash(system, "relay.after_postponing")).wait_until_gone()

        system.worker()
        system.relay()

        assert_ends(system, state="failed", dead={"open": 1}, alerts=1)
        assert system.value("SELECT reason FROM jobs_deadletter") == "ledger"


class TestAnAlertingTaskThatDies:
    @pytest.mark.parametrize(
        ("point", "by"),
        [
            ("record.on_arrival", "child"),
            ("record.on_arrival", "memory"),
            ("record.before_storing", "child"),
            ("record.before_storing", "memory"),
            ("record.after_storing", "child"),
            ("record.after_storing", "memory"),
        ],
    )
    def test_stores_each_death_once(self, system, point, by):
        # Given a death of a job, and a message that nobody can read
        worker = system.worker(env=crash(system, point, by))
        enqueue_one(system, raise_error, {"label": "dead"})
        system.queues.publish("jobs.garbage", b"\xff\xfe{")
        system.relay()

        wait_for_crash(system)

        pid = worker.pid
        system.wait_for(lambda: dead_letters(system) == {"open": 2}, seconds=SECONDS, what="both")
        assert (worker.alive, worker.pid) == (True, pid)
        assert_ends(system, state="failed", dead={"open": 2}, alerts=2)

    def test_with_its_whole_worker_stores_each_death_once(self, system):
        doomed = system.worker(env=crash(system, "record.after_storing", "group"))
        system.queues.publish("jobs.garbage", b"\xff\xfe{")
        enqueue_one(system, raise_error, {"label": "dead"})
        system.relay()
        doomed.wait_until_gone()

        system.worker("second")

        assert_ends(system, state="failed", dead={"open": 2}, alerts=2)


class TestACancel:
    def test_just_before_the_function_raises_is_no_death(self, system):
        worker = system.worker()
        system.relay()
        job = enqueue_one(system, raise_when_cancelled, {"label": "begun"})
        system.wait_for(lambda: system.effects("begun"), seconds=SECONDS, what="it began")

        with system.orm():
            cancel_job(job_id=job, by="somebody")
        ledger.wait_until_stood_down(worker, job)

        assert_ends(system, state="cancelled", dead={}, alerts=0)
        assert ledger.outcomes(system, job) == ["cancelled"]


class TestAnAlert:
    def test_that_was_sent_and_not_settled_is_sent_once_more_with_the_same_key(self, system):
        with receiver() as posts:
            system.env["ALERT_WEBHOOK_URL"] = posts.url
            system.worker(env=crash(system, "alert.after_post"))
            enqueue_one(system, raise_error, {"label": "dead"})
            system.relay()

            wait_for_crash(system)
            delivered = "SELECT count(*) FROM jobs_alertdelivery WHERE state = 'delivered'"
            system.wait_for(lambda: system.value(delivered), seconds=SECONDS, what="delivered")
            ledger.wait_until_all_settled(system)

        assert len(posts.keys) == 2
        assert len(set(posts.keys)) == 1
        assert ledger.count_by_state(system) == {"failed": 1, "succeeded": 1}
        assert dead_letters(system) == {"open": 1}
        assert count(system, "jobs_alert") == 1


class Posts:
    """What a webhook's receiver got."""

    url = ""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.bodies: list[Any] = []


@contextmanager
def receiver() -> Iterator[Posts]:
    posts = Posts()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posts.bodies.append(json.loads(body))
            posts.keys.append(self.headers["Idempotency-Key"])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            return

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    posts.url = f"http://{LOOPBACK}:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield posts
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

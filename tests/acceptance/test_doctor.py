"""`manage.py doctor` and `/readyz?full=1`: what is wrong is named, and how to mend it."""

import json
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.error import HTTPError

import pytest

from project.services import Postgres, RabbitMQ
from tests.harness.system import System

NAMES = {
    "database", "migrations", "broker", "topology", "consumers", "relay", "relay_lag", "beat",
    "schedules", "dead_letters", "storage", "secrets",
}  # fmt: skip


def doctor(system: System) -> dict[str, Any]:
    """Return what was found, by the name of the check."""
    done = system.run("doctor", "--json", check=False)
    findings = {row["check"]: row for row in json.loads(done.stdout)}
    failed = [name for name, row in findings.items() if row["status"] == "failed"]
    assert (done.returncode != 0) == bool(failed), done.stderr
    return findings


def failures(system: System) -> set[str]:
    return {name for name, row in doctor(system).items() if row["status"] == "failed"}


def ask(url: str) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(url) as answer:  # noqa: S310 - our own server
            return answer.status, json.load(answer)
    except HTTPError as error:
        with error:
            return error.code, json.load(error)


@pytest.fixture
def living(system: System) -> System:
    """A product with all its processes, each of which has shown a sign of life."""
    system.run("sync_schedules")
    system.relay()
    system.worker()
    system.beat()
    system.wait_for(
        lambda: system.value("SELECT COUNT(DISTINCT kind) FROM jobs_process") == 2,
        seconds=60,
        what="relay and beat lived",
    )
    return system


class TestAWellSystem:
    def test_passes_every_check_for_people_and_for_probes(self, living: System) -> None:
        web = living.web()

        assert [row for row in doctor(living).values() if row["status"] != "ok"] == []
        assert doctor(living).keys() == NAMES
        assert all(row["latency_ms"] > 0 for row in doctor(living).values())
        status, answer = ask(f"{web.url}/readyz?full=1")
        assert (status, answer["status"]) == (200, "ok")
        assert answer["checks"] == dict.fromkeys(NAMES, "ok")
        assert ask(f"{web.url}/readyz")[1]["checks"] == {"database": "ok", "migrations": "ok"}

    def test_passes_with_open_dead_letters_and_says_so(self, living: System) -> None:
        living.queues.publish("jobs.garbage", b"\xff", headers={"task": "x", "id": "y"})
        living.wait_for(
            lambda: living.value("SELECT COUNT(*) FROM jobs_deadletter"),
            seconds=60,
            what="it was stored",
        )
        found = doctor(living)["dead_letters"]
        assert (found["status"], found["found"]) == ("warning", "1 open")
        assert found["remedy"] == "manage.py dead_letters list"


class TestTopology:
    def test_names_a_missing_binding_until_the_command_mends_it(self, living: System) -> None:
        with living.queues.channel() as channel:
            channel.queue_unbind("exports", "jobs", "exports.#")

        web = living.web()
        found = doctor(living)["topology"]
        assert found["found"] == "exports is not bound to jobs by exports.#"
        assert found["remedy"] == "manage.py declare_topology"
        status, answer = ask(f"{web.url}/readyz?full=1")
        assert (status, answer["checks"]["topology"]) == (503, "failed")

        living.run("declare_topology")
        assert doctor(living)["topology"]["status"] == "ok"

    def test_names_a_missing_queue_and_does_not_make_it(self, system: System) -> None:
        found = doctor(system)["topology"]
        assert "the queue jobs is missing" in found["found"]
        assert "the exchange jobs.dead is missing" in found["found"]
        assert "is missing" in doctor(system)["topology"]["found"]

    def test_names_an_argument_that_differs(self, system: System) -> None:
        with system.queues.channel() as channel:
            channel.queue_declare("alerts", durable=True, auto_delete=False, exclusive=False)
        found = doctor(system)["topology"]["found"]
        assert "the queue alerts has other arguments" in found
        assert "inequivalent arg 'x-" in found

    def test_is_not_sure_of_bindings_that_it_cannot_see(self, living: System) -> None:
        living.env["RABBITMQ_MANAGEMENT_URL"] = "http://127.0.0.1:1"
        found = doctor(living)["topology"]
        assert found["status"] == "warning"
        assert "bindings were not looked at" in found["found"]


class TestWhatIsAway:
    def test_are_the_processes(self, system: System) -> None:
        system.run("declare_topology")
        found = doctor(system)
        assert {"relay", "consumers", "beat"} <= failures(system)
        assert found["relay"]["remedy"] == "manage.py relay"
        assert found["beat"]["remedy"] == "celery -A project beat"
        assert found["consumers"]["remedy"].startswith("celery -A project worker -Q jobs,exports")

    def test_is_who_takes_from_one_lane(self, system: System) -> None:
        system.run("declare_topology")
        others = ("jobs", "exports", "notifications", "alerts", "jobs.dead_letters")
        system.worker(queues=others)
        found = doctor(system)["consumers"]
        assert found["found"] == "none takes from timers"
        assert found["remedy"] == "celery -A project worker -Q timers"

    def test_is_a_relay_that_lags(self, system: System) -> None:
        with system.orm():
            from jobs import enqueue
            from jobs.models import Job
            from tests.harness.tasks import do_nothing

            job = enqueue(do_nothing, {"label": "late"})
            long_ago = datetime.now(UTC) - timedelta(minutes=5)
            Job.objects.filter(pk=job.pk).update(run_at=long_ago)
        found = doctor(system)["relay_lag"]
        assert found["status"] == "failed"
        assert "the limit is 60 s" in found["found"]

    def test_is_the_broker(self, living: System, own_rabbitmq: RabbitMQ) -> None:
        web = living.web()
        own_rabbitmq.stop()
        assert failures(living) == {"broker", "topology", "consumers"}
        status, answer = ask(f"{web.url}/readyz?full=1")
        assert status == 503
        assert "refused" not in json.dumps(answer)
        assert ask(f"{web.url}/readyz")[0] == 200
        # Stopped under consumers, and its virtual host deleted as it starts, RabbitMQ 3.10 answers
        # every consumer of a later one with INTERNAL_ERROR (measured): leave a clean one behind.
        own_rabbitmq.wipe()

    def test_is_the_database(self, living: System, own_postgres: Postgres) -> None:
        web = living.web()
        own_postgres.kill()
        found = doctor(living)
        assert found["database"]["remedy"] == "Start PostgreSQL; see DATABASE_URL."
        assert found["broker"]["status"] == found["topology"]["status"] == "ok"
        assert ask(f"{web.url}/readyz?full=1")[0] == 503

    def test_is_a_folder_that_nobody_may_write(self, system: System) -> None:
        system.env["EXPORTS_STORAGE_URL"] = "file:///proc/nowhere"
        found = doctor(system)["storage"]
        assert (found["status"], "EXPORTS_STORAGE_URL" in found["remedy"]) == ("failed", True)


class TestBeat:
    def test_leaves_its_last_tick_when_it_ends_in_order(self, system: System) -> None:
        beat = system.beat()
        query = "SELECT MAX(seen_at) FROM jobs_process WHERE kind = 'beat'"
        system.wait_for(lambda: system.value(query), seconds=60, what="beat ticked")
        beat.terminate()
        assert system.value(query)
        assert doctor(system)["beat"]["found"].startswith("its last tick was ")

    def test_outlives_a_database_that_restarts(
        self, system: System, own_postgres: Postgres
    ) -> None:
        system.beat()
        query = "SELECT MAX(seen_at) FROM jobs_process WHERE kind = 'beat'"
        first = system.wait_for(lambda: system.value(query), seconds=60, what="beat ticked")
        own_postgres.kill()
        own_postgres.start()
        system.wait_for(lambda: system.value(query) > first, seconds=60, what="it ticked again")

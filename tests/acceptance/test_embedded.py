"""The embedded profile, as a real process: it loses nothing, and stops when told."""

import hashlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tests.harness.client import Client
from tests.harness.embedded import Embedded
from tests.harness.garbage import GARBAGE, UNKNOWN
from tests.harness.variables import CHECKOUT
from tests.harness.waiting import wait_for
from tests.harness.workflows import NAME


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Embedded:
    return Embedded(tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def embedded(tmp_path: Path, prepared: Embedded) -> Iterator[Embedded]:
    embedded = Embedded(tmp_path, like=prepared)
    yield embedded
    embedded.close()


class TestUp:
    def test_runs_what_other_processes_enqueue_each_once(self, embedded):
        # Given more jobs that last than threads, and jobs that fail before they succeed
        *lasting, failing = embedded.enqueue(
            *(
                ("tests.add_effect_fenced", {"label": f"lasts {n}", "seconds": 1})
                for n in range(10)
            ),
            ("tests.add_effect", {"label": "fails", "failures": 2}),
        )

        # When the product starts, then all of it ends, with one effect each
        embedded.up()
        for job in (*lasting, failing):
            embedded.wait_for_state(job, "succeeded")
        assert [embedded.effects(f"lasts {n}") for n in range(10)] == [1] * 10
        assert embedded.effects("fails") == 1
        assert embedded.job(failing)["failures"] == 2

    def test_refuses_to_be_up_twice(self, embedded):
        first = embedded.up()
        argv = [sys.executable, "manage.py", "up", "--port", "0"]
        second = subprocess.run(
            argv, env=embedded.env, cwd=CHECKOUT, capture_output=True, text=True, check=False
        )
        assert second.returncode != 0
        assert f"Process {first.pid} is up already" in second.stderr
        assert len(second.stderr.strip().splitlines()) == 1

    @pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
    def test_ends_with_0_when_it_is_told_to_stop(self, embedded, signum):
        up = embedded.up()
        up.send(signum)
        up.wait_until_gone()
        assert up.exit_code == 0


class TestADeadline:
    def test_fires_while_every_thread_has_a_job_that_lasts(self, embedded):
        # Given as many jobs that last for minutes as there are threads, and more behind them
        embedded.up()
        jobs = embedded.enqueue(
            *(("tests.add_effect_fenced", {"label": "lasts", "seconds": 300}) for _ in range(10))
        )
        wait_for(lambda: states(embedded, jobs).count("running") == 4, 60, "all are busy")

        # When the deadline of a workflow comes, then it times out, and all of them are left
        workflow = embedded.start_workflow(NAME, {"label": "late"}, deadline_seconds=1)
        wait_for(lambda: status(embedded, workflow) == "timeout", 60, "it timed out")
        assert embedded.effects("late: timeout") == 1
        assert set(states(embedded, jobs)) == {"running", "queued"}


def states(embedded: Embedded, jobs: list[str]) -> list[str]:
    return [embedded.job(job)["state"] for job in jobs]


def status(embedded: Embedded, workflow: str) -> str:
    query = "SELECT status FROM jobs_workflow WHERE id = ?"
    return str(embedded.rows(query, UUID(workflow).hex)[0]["status"])


class TestExport:
    def test_goes_from_request_to_file_over_http(self, embedded):
        # Given a product that is up, and a program with a token of a tenant
        client = embedded.up().client(embedded.people.acme.token)
        document = {"dataset": "projects", "format": "csv"}

        # When it asks for an export, then the request is accepted and the file comes
        accepted = client.post("/api/v1/exports", json=document)
        assert accepted.status_code == 202
        path = accepted.headers["Location"]
        done: Any = wait_for(lambda: completed(client, path), 60, "the export is completed")
        data = client.get(done["download_url"]).content
        assert hashlib.sha256(data).hexdigest() == done["sha256"]
        assert data.decode().startswith("id,name,")

        # And another tenant's program does not see it
        stranger = embedded.processes[0].client(embedded.people.globex.token)
        assert stranger.get(path).status_code == 404


def completed(client: Client, path: str) -> dict[str, Any] | None:
    export: dict[str, Any] = client.get(path).json()
    assert export["status"] in ("queued", "processing", "completed"), export
    return export if export["status"] == "completed" else None


class TestKilled:
    def test_the_next_start_brings_back_what_was_running_and_what_was_queued(self, embedded):
        # Given a process that dies with four jobs running and more in its memory
        first = embedded.up(env={"JOBS_LEASE_SECONDS": "600"})
        jobs = embedded.enqueue(
            *(("tests.add_effect_fenced", {"label": f"job {n}", "seconds": 5}) for n in range(6))
        )
        embedded.wait_for_state(jobs[3], "running")
        embedded.wait_for_state(jobs[5], "queued")
        first.kill()

        # When it starts again, then every job ends, once, without waiting for a lease
        embedded.up()
        settled = [embedded.wait_for_state(job, "succeeded") for job in jobs]
        assert [embedded.effects(f"job {n}") for n in range(6)] == [1] * 6
        assert settled[3]["losses"] == 1
        assert settled[5]["losses"] == 0
        assert {row["failures"] for row in settled} == {0}


class TestStopped:
    def test_what_does_not_end_in_time_is_handed_over_and_no_attempt_spent(self, embedded):
        # Given a job that lasts longer than the process may take to stop
        up = embedded.up(env={"WORKER_SOFT_SHUTDOWN_SECONDS": "1"})
        [job] = embedded.enqueue(("tests.add_effect_fenced", {"label": "long", "seconds": 10}))
        embedded.wait_for_state(job, "running")

        # When it is told to stop, then it ends at once and the job waits
        assert up.terminate() == 0
        waiting = embedded.job(job)
        assert (waiting["state"], waiting["failures"], waiting["losses"]) == ("waiting", 0, 0)

        # When it starts again, then the job ends, with one effect
        embedded.up()
        settled = embedded.wait_for_state(job, "succeeded")
        assert (settled["attempt"], settled["failures"], settled["losses"]) == (2, 0, 0)
        assert embedded.effects("long") == 1


class TestDeadLetters:
    def test_hold_what_failed_for_good_and_what_nobody_can_read(self, embedded):
        # Given a job that fails four times, and messages that no worker can run
        up = embedded.up()
        failing, _ = embedded.enqueue(
            ("tests.add_effect", {"label": "never", "failures": 9}), ("tests.publish_garbage", {})
        )
        assert embedded.wait_for_state(failing, "failed")["failures"] == 4

        # Then each of them is a dead letter, once, as it came
        what = "each is a dead letter"
        wait_for(lambda: len(dead_letters(embedded)) >= len(GARBAGE) + 1, 60, what)
        wait_for(lambda: embedded.job(UNKNOWN["id"])["state"] == "waiting", 60, "it is adopted")
        [following] = embedded.enqueue(("tests.do_nothing", {"label": "next"}))
        embedded.wait_for_state(following, "succeeded")
        dead = dead_letters(embedded)
        [own] = [row for row in dead if row["job_id"] == UUID(failing).hex]
        assert (own["attempts"], own["error_type"]) == (4, "RuntimeError")
        bodies = [row["body"] for row in dead if row is not own]
        assert sorted(bodies) == sorted(body for body, _, _ in GARBAGE.values())

        # And the worker went on; what a deploy may bring waits for it
        assert up.alive
        assert embedded.job(UNKNOWN["id"])["dispatch"] == 0


def dead_letters(embedded: Embedded) -> list[dict[str, Any]]:
    return embedded.rows("SELECT * FROM jobs_deadletter")


class TestProcessesOfTheServicesProfile:
    @pytest.mark.parametrize(
        "words",
        [
            ("-m", "celery", "-A", "project", "worker"),
            ("-m", "celery", "-A", "project", "beat"),
            ("-m", "celery", "-A", "project", "flower"),
            ("manage.py", "relay"),
            ("manage.py", "declare_topology"),
        ],
        ids=lambda words: words[-1],
    )
    def test_say_in_one_line_that_there_is_no_broker(self, embedded, words):
        env = {name: text for name, text in embedded.env.items() if name != "CELERY_BROKER_URL"}
        done = subprocess.run(
            [sys.executable, *words],
            env=env,
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode != 0
        said = [line for line in done.stderr.splitlines() if line.strip()]
        assert len(said) == 1, done.stderr
        assert "CELERY_BROKER_URL" in said[0]

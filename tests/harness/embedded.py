"""The product in the embedded profile: one process, SQLite, queues in memory."""

import json
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.harness import environment
from tests.harness.client import Client
from tests.harness.people import People
from tests.harness.processes import Process
from tests.harness.variables import CHECKOUT
from tests.harness.waiting import wait_for

#: What `tests.harness.tasks` writes its effects to.
EFFECTS = "CREATE TABLE test_effects (id INTEGER PRIMARY KEY, label TEXT, job_id TEXT, attempt INT)"

EXTRA = {
    "DEBUG": "true",  # Static files come from the source: nothing is collected.
    "JOBS_RETRY_BASE_SECONDS": "1",
    "JOBS_EXTRA_TASK_MODULES": "tests.harness.tasks,tests.harness.garbage,tests.harness.workflows",
}

#: One process for many jobs: starting one takes longer than the jobs do.
ENQUEUE = """
import django, json, sys
django.setup()
from jobs import enqueue
print(json.dumps([str(enqueue(name, payload).pk) for name, payload in json.load(sys.stdin)]))
"""

START_WORKFLOW = """
import django, json, sys
django.setup()
from datetime import timedelta
from jobs.workflows.operations import start_workflow
name, state, tenant_id, seconds = json.load(sys.stdin)
print(start_workflow(name, state, tenant_id=tenant_id, deadline=timedelta(seconds=seconds)).pk)
"""

MAKE_PEOPLE = """
import django, json, sys
django.setup()
from tests.harness.people import create_people
json.dump(create_people().to_json(), sys.stdout)
"""


class Up(Process):
    """`manage.py up` on a free port; ready when it has said where it is."""

    def wait_ready(self) -> None:
        self.wait_for_log("Offload is up")

    @property
    def url(self) -> str:
        found = re.search(r"http://127\.0\.0\.1:\d+", self.log_text())
        assert found, self.log_text()
        return found[0]

    def client(self, token: str | None = None) -> Client:
        return Client(self.url, token)


class Embedded:
    """A migrated database with people in it; start and stop the process as often as you like."""

    def __init__(self, directory: Path, *, like: "Embedded | None" = None) -> None:
        self.directory = directory
        self.database = directory / "offload.sqlite3"
        self.env = environment.for_processes(
            database_url=f"sqlite:///{self.database}",
            broker_url="memory://localhost/",
            shared=directory,
            directory=directory,
            extra=EXTRA,
        )
        self.processes: list[Up] = []
        if like:
            shutil.copy(like.database, self.database)
            self.people: People = like.people
        else:
            self.manage("migrate", "--noinput", "--verbosity", "0")
            self.people = People.from_json(json.loads(self._run("-c", MAKE_PEOPLE)))
            self._execute(EFFECTS)

    def up(self, *, env: Mapping[str, str] | None = None) -> Up:
        """Start the product and wait until it listens."""
        argv = [sys.executable, "manage.py", "up", "--port", "0"]
        name = f"up-{len(self.processes) + 1}"
        up = Up(name, argv, directory=self.directory, env={**self.env, **(env or {})})
        self.processes.append(up)
        up.start()
        up.wait_ready()
        return up

    def manage(self, *words: str) -> str:
        """Run a command to its end and return what it printed."""
        return self._run("manage.py", *words)

    def enqueue(self, *jobs: tuple[str, dict[str, Any]]) -> list[str]:
        """Store jobs, each a type and a payload, in another process; return their ids."""
        ids: list[str] = json.loads(self._run("-c", ENQUEUE, text=json.dumps(jobs)))
        return ids

    def start_workflow(self, name: str, state: dict[str, Any], *, deadline_seconds: float) -> str:
        """Start a workflow of acme's in another process; return its id."""
        text = json.dumps([name, state, self.people.acme.id, deadline_seconds])
        return self._run("-c", START_WORKFLOW, text=text).strip()

    def job(self, job_id: str) -> dict[str, Any]:
        return self.rows("SELECT * FROM jobs_job WHERE id = ?", UUID(job_id).hex)[0]

    def wait_for_state(self, job_id: str, state: str, *, seconds: float = 60) -> dict[str, Any]:
        wait_for(lambda: self.job(job_id)["state"] == state, seconds, f"{job_id} is {state}")
        return self.job(job_id)

    def effects(self, label: str) -> int:
        return len(self.rows("SELECT 1 FROM test_effects WHERE label = ?", label))

    def rows(self, sql: str, *parameters: object) -> list[dict[str, Any]]:
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=30)
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute(sql, parameters)]
        finally:
            connection.close()

    def close(self) -> None:
        for process in self.processes:
            process.kill()

    def _execute(self, sql: str) -> None:
        connection = sqlite3.connect(self.database, timeout=30)
        with connection:
            connection.execute(sql)
        connection.close()

    def _run(self, *words: str, text: str = "") -> str:
        done = subprocess.run(
            [sys.executable, *words],
            env=self.env,
            cwd=CHECKOUT,
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

"""One whole product for one test: its own database, virtual host, files and processes."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg.rows import dict_row

from project.services.ports import LOOPBACK, free_port
from tests.harness import environment
from tests.harness.processes import Process, Web, Worker
from tests.harness.queues import Queues
from tests.harness.servers import Servers
from tests.harness.template import Template
from tests.harness.variables import CHECKOUT
from tests.harness.waiting import wait_for

P = TypeVar("P", bound=Process)
T = TypeVar("T")


class System:
    """Starts processes on request; `close` ends them all, whatever state they are in."""

    def __init__(self, servers: Servers, template: Template, directory: Path) -> None:
        self.postgres = servers.postgres
        self.rabbitmq = servers.rabbitmq
        self.people = template.people
        self.directory = directory
        self.name = servers.next_name()
        self.database_url = self.postgres.create_database(self.name, template=template.name)
        self.broker_url = self.rabbitmq.create_vhost(self.name)
        self.queues = Queues(self.broker_url)
        self.processes: list[Process] = []
        self.env: dict[str, str] = environment.for_processes(
            database_url=self.database_url,
            broker_url=self.broker_url,
            management_url=self.rabbitmq.management_url,
            shared=servers.directory,
            directory=directory,
            extra={},
        )

    # --- Processes ------------------------------------------------------------------------------

    def web(self, *, workers: int = 2, env: Mapping[str, str] | None = None) -> Web:
        """Start gunicorn and wait until it listens."""
        web = Web(
            self._log_name("web"), directory=self.directory, env=self._env(env), workers=workers
        )
        self._start(web).wait_ready()
        return web

    def worker(
        self,
        name: str = "worker",
        *,
        queues: Sequence[str] = (),
        concurrency: int = 2,
        options: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
    ) -> Worker:
        """Start a Celery worker on all lanes, or on `queues`, and wait until it is ready."""
        worker = Worker(
            self._log_name(name),
            directory=self.directory,
            env=self._env(env),
            queues=queues,
            concurrency=concurrency,
            options=options,
        )
        self._start(worker).wait_ready()
        return worker

    def relay(self, *, env: Mapping[str, str] | None = None) -> Process:
        """Start a relay without waiting for its first batch."""
        return self.command("relay", env=env)

    def beat(self, *, env: Mapping[str, str] | None = None) -> Process:
        return self.python("-m", "celery", "-A", "project", "beat", name="beat", env=env)

    def flower(self, *, env: Mapping[str, str] | None = None) -> Process:
        """Start Flower at `env["FLOWER_ADDRESS"]`, a free port unless given."""
        address = {"FLOWER_ADDRESS": f"{LOOPBACK}:{free_port()}", **(env or {})}
        return self.python("-m", "celery", "-A", "project", "flower", name="flower", env=address)

    def command(self, *words: str, env: Mapping[str, str] | None = None) -> Process:
        """Start `manage.py <words>` and let it run."""
        return self.python("manage.py", *words, name=words[0], env=env)

    def python(self, *words: str, name: str, env: Mapping[str, str] | None = None) -> Process:
        """Start the interpreter and let it run."""
        argv = [sys.executable, *words]
        return self._start(
            Process(self._log_name(name), argv, directory=self.directory, env=self._env(env))
        )

    def run(
        self, *words: str, env: Mapping[str, str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run `manage.py <words>` to its end and return what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            env=self._env(env),
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 or not check, f"{words}: {done.stdout}\n{done.stderr}"
        return done

    # --- What it holds --------------------------------------------------------------------------

    def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        """Return the rows of a statement run on a connection of its own, and commit it."""
        with psycopg.connect(self.database_url, row_factory=dict_row) as connection:
            cursor = connection.execute(query.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def value(self, query: str, *values: object) -> Any:
        """Return the first column of the first row, None where there is no row."""
        rows = self.rows(query, *values)
        return next(iter(rows[0].values())) if rows else None

    def effects(self, label: str) -> int:
        """Return how often test tasks left an effect of this label."""
        return int(self.value("SELECT count(*) FROM test_effects WHERE label = %s", label))

    @contextmanager
    def orm(self) -> Iterator[None]:
        """
        Let this process's Django work in the system's database: `enqueue`, models, operations.

        What it writes is committed; there is no test transaction around it.
        """
        from django.db import connection

        connection.close()
        before, connection.settings_dict["NAME"] = connection.settings_dict["NAME"], self.name
        try:
            yield
        finally:
            connection.close()
            connection.settings_dict["NAME"] = before

    def wait_for(self, predicate: Callable[[], T], *, seconds: float, what: str) -> T:
        """Wait for a true value; `seconds` is a safety net, many times the usual duration."""
        return wait_for(predicate, seconds, what)

    # --- The end --------------------------------------------------------------------------------

    def close(self) -> None:
        """Kill every process, then drop the database and the virtual host."""
        for process in reversed(self.processes):
            process.kill()
        self.rabbitmq.delete_vhost(self.name)
        self.postgres.drop_database(self.name)

    def _start(self, process: P) -> P:
        self.processes.append(process)
        process.start()
        return process

    def _env(self, extra: Mapping[str, str] | None) -> dict[str, str]:
        return {**self.env, **(extra or {})}

    def _log_name(self, name: str) -> str:
        """Return a name that no process of this system had: a second start has its own log."""
        used = {process.name for process in self.processes}
        return name if name not in used else f"{name}-{len(used)}"

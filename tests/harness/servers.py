"""The servers of one test run: private ones, or those that TEST_*_URL name."""

import os
import shutil
import tempfile
from functools import cached_property
from pathlib import Path

from project.services import Broker, Child, DatabaseServer, Postgres, RabbitMQ
from project.services.runs import end_run, open_run, start_guard

NAME = f"offload_{os.getpid()}"  #: Of this run's databases and virtual hosts.


class Servers:
    """Makes servers known at once, so that settings can name them, and starts them when asked."""

    def __init__(self) -> None:
        self._guard: Child | None = None
        self._started: set[DatabaseServer | Broker] = set()
        self._names = 0

    @cached_property
    def directory(self) -> Path:
        """Where this run keeps what lives as long as it does."""
        return Path(tempfile.mkdtemp(prefix="offload-tests-"))

    @cached_property
    def postgres(self) -> DatabaseServer:
        """:raises NotInstalled: if there is neither a URL nor a server to start."""
        url = os.environ.get("TEST_DATABASE_URL")
        return DatabaseServer(url) if url else Postgres(self._run, fsync=False)

    @cached_property
    def rabbitmq(self) -> Broker:
        """:raises NotInstalled: if there is neither a URL nor a server to start."""
        url = os.environ.get("TEST_BROKER_URL")
        return Broker(url) if url else RabbitMQ(self._run)

    @property
    def database_url(self) -> str:
        """Return a database's URL; it need not exist, as the test runner puts test_ before it."""
        return self.postgres.url(NAME)

    def start_postgres(self) -> DatabaseServer:
        if isinstance(self.postgres, Postgres) and self.postgres not in self._started:
            self.postgres.start()
        self._started.add(self.postgres)
        return self.postgres

    def start_rabbitmq(self) -> Broker:
        if isinstance(self.rabbitmq, RabbitMQ) and self.rabbitmq not in self._started:
            self.rabbitmq.start()
        self._started.add(self.rabbitmq)
        return self.rabbitmq

    def start_both(self) -> None:
        """Start both, PostgreSQL while RabbitMQ boots."""
        if isinstance(self.rabbitmq, RabbitMQ) and self.rabbitmq not in self._started:
            self.rabbitmq.spawn()
        self.start_postgres()
        if isinstance(self.rabbitmq, RabbitMQ) and self.rabbitmq not in self._started:
            self.rabbitmq.wait_ready()
        self._started.add(self.rabbitmq)

    def revive(self) -> None:
        """Start again, or wake, what a test stopped and left so."""
        for server in self._started:
            if isinstance(server, Postgres | RabbitMQ):
                server.start()

    def next_name(self) -> str:
        """Return a name that no other test, run or developer uses on these servers."""
        self._names += 1
        return f"{NAME}_{self._names}"

    def close(self) -> None:
        """Stop what we started and delete what it wrote."""
        shutil.rmtree(self.directory, ignore_errors=True)
        if self._guard is None:
            return
        for server in self._started:
            if isinstance(server, RabbitMQ):
                server.kill()  # An orderly stop takes seconds and saves what is thrown away.
        self._guard.stop()
        end_run(self._run)

    @cached_property
    def _run(self) -> Path:
        run = open_run(f"tests-{os.getpid()}", keep=False)
        self._guard = start_guard(run)
        return run

"""Where measurements happen: servers, a database and a virtual host of their own, and processes."""

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amqp import NotFound
from kombu import Connection

from bench.ticks import DIRECTORY, Ticks
from project.services import Broker, Child, DatabaseServer, services

CHECKOUT = Path(__file__).resolve().parents[1]
NAME = f"offload_bench_{os.getpid()}"
READY_SECONDS = 60
#: Of all workers, the references' too: that of the Procfile.
LOG_LEVEL = "INFO"


@dataclass
class Stage:
    """The product and plain Celery, on one broker: what the machine does meets both."""

    directory: Path
    database_url: str
    broker_url: str
    ticks: Ticks
    started: int = 0

    def settings(self) -> dict[str, str]:
        """Return the product's settings: as in production, but without TLS."""
        return {
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "SECRET_KEY": "a-key-for-measurements-only-0123456789-0123456789",
            "HTTPS_ONLY": "false",
            "DATABASE_URL": self.database_url,
            "CELERY_BROKER_URL": self.broker_url,
            "EXPORTS_STORAGE_URL": f"file://{self.directory / 'exports'}",
            "EMAIL_URL": f"filemail:///{self.directory / 'mail'}",
            "JOBS_EXTRA_TASK_MODULES": "bench.tasks",
            "NOTIFICATIONS_TRUSTED_NETWORKS": "127.0.0.0/8",  # The receivers are on this machine.
            DIRECTORY: str(self.ticks.directory),
        }

    @contextmanager
    def worker(self, *, children: int = 2, env: Mapping[str, str] | None = None) -> Iterator[Child]:
        """Run the product's worker as the Procfile does."""
        values = {**self.settings(), **(env or {})}
        with self._celery("project", values, children=children, queue="jobs") as worker:
            yield worker

    @contextmanager
    def plain_worker(
        self, app: str, *, children: int = 2, env: Mapping[str, str] | None = None
    ) -> Iterator[Child]:
        """Run a worker of one of the reference apps of `bench.plain`."""
        values = {**self.settings(), **(env or {})}
        with self._celery(f"bench.plain:{app}", values, children=children, queue=app) as worker:
            yield worker

    @contextmanager
    def relay(self) -> Iterator[Child]:
        with self._run("relay", [sys.executable, "manage.py", "relay"], self.settings()) as relay:
            relay.wait_for(relay.log_text, seconds=READY_SECONDS, what="it said that it waits")
            yield relay

    @contextmanager
    def _celery(
        self, app: str, env: Mapping[str, str], *, children: int, queue: str
    ) -> Iterator[Child]:
        argv = [sys.executable, "-m", "celery", "-A", app, "worker", "-n", f"{queue}@bench"]
        argv += ["--loglevel", LOG_LEVEL, "--concurrency", str(children)]
        argv += os.environ.get("BENCH_ARGS", "").split()
        with self._run(queue, argv, env) as worker:
            worker.wait_for(
                lambda: consumers(self.broker_url, queue),
                seconds=READY_SECONDS,
                what=f"it consumed {queue}",
            )
            yield worker

    @contextmanager
    def _run(self, name: str, argv: list[str], env: Mapping[str, str]) -> Iterator[Child]:
        self.started += 1
        child = Child(
            f"{self.started:03}-{name}",
            argv,
            directory=self.directory,
            env={**os.environ, **env, "PYTHONUNBUFFERED": "1"},
            cwd=CHECKOUT,
        )
        try:
            yield child.start()
        finally:
            child.kill()


def consumers(broker_url: str, queue: str) -> int:
    """Return how many workers consume a queue, 0 where it does not exist."""
    with Connection(broker_url) as connection:
        try:
            channel: Any = connection.default_channel
            return int(channel.queue_declare(queue, passive=True).consumer_count)
        except NotFound:
            return 0


def purge(broker_url: str, queue: str) -> None:
    """Throw away what nobody consumed."""
    with Connection(broker_url) as connection:
        channel: Any = connection.default_channel
        channel.queue_purge(queue)


@contextmanager
def open_stage() -> Iterator[Stage]:
    """
    Start private servers, or take those of TEST_DATABASE_URL and TEST_BROKER_URL, and migrate.

    Django is set up in this process too, in the same environment as the product's processes.
    """
    with ExitStack() as stack:
        postgres, rabbitmq = stack.enter_context(_servers())
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="offload-bench-")))
        stack.callback(postgres.drop_database, NAME)
        stack.callback(rabbitmq.delete_vhost, NAME)
        stage = Stage(
            directory=directory,
            database_url=postgres.create_database(NAME),
            broker_url=rabbitmq.create_vhost(NAME),
            ticks=Ticks(directory / "ticks"),
        )
        _set_up_django(stage)
        yield stage


@contextmanager
def _servers() -> Iterator[tuple[DatabaseServer, Broker]]:
    database, broker = os.environ.get("TEST_DATABASE_URL"), os.environ.get("TEST_BROKER_URL")
    if database and broker:
        yield DatabaseServer(database), Broker(broker)
    else:
        with services("bench") as running:
            yield running.postgres, running.rabbitmq


def _set_up_django(stage: Stage) -> None:
    os.environ |= stage.settings()
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", interactive=False, verbosity=0)

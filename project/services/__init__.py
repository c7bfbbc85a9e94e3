"""
Private PostgreSQL and RabbitMQ servers for tests, measurements and `make up SERVICES=1`.

    with services("bench") as running:
        running.postgres.create_database("first")      # a URL
        running.rabbitmq.create_vhost("first")         # a URL

Everything they write lies under `var/services/`. No server that we did not start is touched.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from project.services.broker import Broker
from project.services.child import Child, ServiceFailed
from project.services.database import DatabaseServer
from project.services.postgres import Postgres
from project.services.programs import NotInstalled
from project.services.rabbitmq import RabbitMQ
from project.services.runs import RunInUse, end_run, open_run, start_guard

__all__ = [
    "Broker",
    "Child",
    "DatabaseServer",
    "NotInstalled",
    "Postgres",
    "RabbitMQ",
    "RunInUse",
    "ServiceFailed",
    "Services",
    "services",
]


@dataclass(frozen=True)
class Services:
    """Two running servers and the directory that holds all they write."""

    run: Path
    postgres: Postgres
    rabbitmq: RabbitMQ


@contextmanager
def services(name: str, *, keep: bool = False) -> Iterator[Services]:
    """
    Start both servers, and stop them at the end whatever happens to this process.

    With `keep` the data stays for the next run of this name, which only one process at a time
    can have; otherwise the run is this process's own and leaves nothing behind.

    :raises NotInstalled: if a server is missing; the message says what to install.
    :raises ServiceFailed: if one does not start.
    """
    run = open_run(name if keep else f"{name}-{os.getpid()}", keep=keep)
    guard = start_guard(run)
    try:
        running = Services(run, Postgres(run), RabbitMQ(run))
        running.rabbitmq.spawn()  # It takes the longest: PostgreSQL starts meanwhile.
        running.postgres.start()
        running.rabbitmq.wait_ready()
        yield running
        if not keep:
            running.rabbitmq.kill()  # An orderly stop takes seconds and saves what is thrown away.
    finally:
        guard.stop()
        end_run(run)

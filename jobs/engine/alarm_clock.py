"""Sleeps until a job is due: until PostgreSQL notifies, or a time has passed."""

import threading
from typing import Protocol

import psycopg
from django.db import connection

#: The channel of migration 0002.
CHANNEL = "jobs_due"


class AlarmClock(Protocol):
    def sleep(self, seconds: float) -> None:
        """Return when a job may be due, or after so many seconds."""

    def close(self) -> None: ...


def set_alarm(stopping: threading.Event) -> AlarmClock:
    return PostgresAlarm() if connection.vendor == "postgresql" else PlainAlarm(stopping)


class PostgresAlarm:
    """Listens on a connection of its own, outside any transaction."""

    def __init__(self) -> None:
        parameters = dict(connection.get_connection_params())
        wanted = {
            name: parameters[name]
            for name in parameters
            if name not in ("cursor_factory", "context")
        }
        self._connection: psycopg.Connection = psycopg.connect(**{**wanted, "autocommit": True})
        self._connection.execute(f"LISTEN {CHANNEL}")

    def sleep(self, seconds: float) -> None:
        for _ in self._connection.notifies(timeout=seconds, stop_after=1):
            return

    def close(self) -> None:
        self._connection.close()


class PlainAlarm:
    """Sleeps the time out, or until the process is told to stop."""

    def __init__(self, stopping: threading.Event) -> None:
        self._stopping = stopping

    def sleep(self, seconds: float) -> None:
        self._stopping.wait(seconds)

    def close(self) -> None:
        return

"""Runs the parts of the embedded profile together, and stops them in order."""

import threading
import time
import warnings

from celery import Celery
from django.conf import settings
from django.db import Error, connection

from jobs import log_events
from jobs.engine import recovery
from jobs.engine.embedded.parts import Part, Relay, Scheduler, Web, Worker
from jobs.engine.embedded.transport import use_dead_lettering_queues
from jobs.engine.publisher import open_publisher

#: How long a part may take to stop that has nothing to finish.
PART_STOPS_SECONDS = 5

#: How long a job that was handed over has to notice it, at its next fence.
NOTICE_SECONDS = 1


class House:
    """Web, relay, worker and scheduler in threads of this process."""

    def __init__(self, app: Celery, *, port: int, threads: int) -> None:
        use_dead_lettering_queues()
        # Django keeps the queries of DEBUG in a ring; a worker that runs for days leaks nothing.
        warnings.filterwarnings("ignore", message="Using settings.DEBUG leads to a memory leak")
        app.set_default()  # Threads have no current app of their own.
        self._stopping = threading.Event()
        self.failed_part: str | None = None
        self.web = Web(port, self._ended)
        self._worker = Worker(app, threads, self._ended)
        # The publisher declares the queues, the dead letters' too, before anything is consumed.
        self._others: list[Part] = [
            self.web,
            Relay(open_publisher(app), self._ended),
            Scheduler(app, self._ended),
        ]

    def start(self) -> None:
        """Put back what an earlier process held, then start every part."""
        recovery.put_back_held()
        connection.close()
        for part in (self._worker, *self._others):
            part.start()

    def ask_to_stop(self) -> None:
        """May be called from a signal handler."""
        self._stopping.set()

    def wait(self) -> None:
        """Return when asked to stop, or when a part has ended by itself (`failed_part`)."""
        self._stopping.wait()

    def stop(self) -> bool:
        """
        Stop every part; what still runs after WORKER_SOFT_SHUTDOWN_SECONDS is handed over.

        Return False if a job's thread goes on: it can't write any more, and can't be ended.
        """
        for part in (*self._others, self._worker):
            part.stop()
        _join([self._worker], settings.CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT)
        if self._worker.is_alive():
            _hand_over()
            _join([self._worker], NOTICE_SECONDS)
        _join(self._others, PART_STOPS_SECONDS)
        return not self._worker.is_alive()

    def _ended(self, part: Part) -> None:
        if not self._stopping.is_set():
            self.failed_part = part.name
            self._stopping.set()


def _join(parts: list[Part], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    for part in parts:
        part.join(max(0.0, deadline - time.monotonic()))


def _hand_over() -> None:
    """Return what still runs to the ledger: another process goes on, and no attempt is spent."""
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA busy_timeout = 2000")
    try:
        recovery.hand_over_running()
    except Error as error:
        # An atomic job holds the only write lock. It is rolled back with the process, and
        # counts a loss at the next start.
        log_events.database_away("hand-over", error, 0)
    connection.close()

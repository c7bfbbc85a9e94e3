"""Keeps the leases of running jobs fresh, from one thread a process, on a connection of its own."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connection

from jobs import log_events
from jobs.engine import lifecycle, stopping
from jobs.models import Job


class Heartbeat:
    """Extends the lease of every job that lasts longer than JOBS_HEARTBEAT_SECONDS."""

    def __init__(self) -> None:
        self._due: dict[int, tuple[float, Job]] = {}
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._pid = 0

    @contextmanager
    def keep(self, job: Job) -> Iterator[None]:
        """Show signs of life for this job until the block ends. Costs nothing for a short one."""
        self._start_thread()
        self._due[id(job)] = (time.monotonic() + settings.JOBS_HEARTBEAT_SECONDS, job)
        try:
            yield
        finally:
            self._due.pop(id(job), None)

    def stop(self) -> None:
        """End the thread; the heart of a process beats as long as the process lives."""
        self._stopping.set()

    def _start_thread(self) -> None:
        """Start the thread once a process: threads do not survive the fork of a worker's child."""
        if self._pid == os.getpid():
            return
        with self._lock:
            if self._pid != os.getpid():
                self._due.clear()
                threading.Thread(target=self._run, name="heartbeat", daemon=True).start()
                self._pid = os.getpid()

    def _run(self) -> None:
        while not self._stopping.wait(min(1.0, settings.JOBS_HEARTBEAT_SECONDS / 2)):
            for name, (due, job) in list(self._due.items()):
                if time.monotonic() >= due:
                    self._beat(name, job)
            if not self._due:
                connection.close()
        connection.close()

    def _beat(self, name: int, job: Job) -> None:
        try:
            alive = lifecycle.extend_lease(job)
        except Exception as error:  # Whatever it is: without this thread every lease would end.
            log_events.database_away("heartbeat", error, settings.JOBS_HEARTBEAT_SECONDS)
            connection.close()
            alive = True  # Unknown. The fence decides, whatever happens to the lease.
        if not alive:
            log_events.heartbeat_refused(job)
            self._due.pop(name, None)
            stopping.refuse(job)
        elif name in self._due:
            self._due[name] = (time.monotonic() + settings.JOBS_HEARTBEAT_SECONDS, job)


heartbeat = Heartbeat()

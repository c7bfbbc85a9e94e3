"""Celery beat's scheduler: django-celery-beat's, whose slots go through the ledger."""

import os
import socket
import time
from datetime import timedelta
from functools import cached_property
from typing import Any

from django.db import Error, close_old_connections, connection
from django_celery_beat.schedulers import DatabaseScheduler

from jobs import log_events
from jobs.database_clock import database_now
from jobs.engine.daemon import SIGN_OF_LIFE_SECONDS
from jobs.models import Process
from jobs.schedules.clock import Clock

#: How soon to look again at a database that is away.
AWAY_SECONDS = 1.0

#: How long the row of a beat that is gone is kept; the newest row stays for ever.
FORGOTTEN_AFTER = timedelta(days=1)


class Scheduler(DatabaseScheduler):  # type: ignore[misc]
    """
    Writes what is due into the database and publishes nothing: the relay does.

    Any number of beats may run. Three methods are ours: the stock tick waits for the broker, and
    the stock setup adds a row of its own and overwrites edits by CELERY_BEAT_SCHEDULE.
    """

    _next_sign = 0.0

    def setup_schedule(self) -> None:
        """Add nothing: `sync_schedules` writes the cron table, people the rest."""

    def tick(self, *_: Any, **__: Any) -> float:
        """Return the seconds to sleep. A database that is away is waited for, and ends nothing."""
        try:
            close_old_connections()
            pause = self._clock.tick(longest=min(self.max_interval, SIGN_OF_LIFE_SECONDS))
            self._show_life()  # Last: a beat whose ticks fail is as good as none.
            return pause
        except Error as error:
            log_events.database_away("a tick of beat", error, AWAY_SECONDS)
            connection.close()
            return AWAY_SECONDS

    def sync(self) -> None:
        """Write nothing: what a tick did is committed."""

    @cached_property
    def _clock(self) -> Clock:
        return Clock()

    def _show_life(self) -> None:
        """Say when beat last ticked. It stays when beat stops: others alert of its silence."""
        if time.monotonic() < self._next_sign:
            return
        now = database_now()
        if self._next_sign == 0.0:
            _forget_old(now)
        name = f"beat@{socket.gethostname()}:{os.getpid()}"
        signs = {"kind": "beat", "seen_at": now}
        Process.objects.update_or_create(name=name, defaults=signs)
        self._next_sign = time.monotonic() + SIGN_OF_LIFE_SECONDS


def _forget_old(now: Any) -> None:
    Process.objects.filter(kind="beat", seen_at__lt=now - FORGOTTEN_AFTER).delete()

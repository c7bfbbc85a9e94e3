"""Celery beat's scheduler: as django-celery-beat's, with a sign of life and alerts."""

import os
import socket
import time
from typing import Any

from django.db import Error
from django.utils import timezone
from django_celery_beat.schedulers import DatabaseScheduler

from jobs import log_events
from jobs.alerts.operations import raise_alert
from jobs.engine.daemon import SIGN_OF_LIFE_SECONDS
from jobs.models import Process
from jobs.states import AlertKind


class Scheduler(DatabaseScheduler):  # type: ignore[misc]
    """Ticks as ever; a schedule that fails is alerted of, and the others go on."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._name = f"beat@{socket.gethostname()}:{os.getpid()}"
        self._next_sign = 0.0
        super().__init__(*args, **kwargs)

    def tick(self, *args: Any, **kwargs: Any) -> float:
        self._show_life()
        return float(super().tick(*args, **kwargs))

    def apply_async(self, entry: Any, *args: Any, **kwargs: Any) -> Any:
        """Celery logs what this raises, and goes on."""
        try:
            return super().apply_async(entry, *args, **kwargs)
        except Exception as error:
            self._alert(entry, error)
            raise

    def close(self) -> None:
        """Leave no sign of life behind."""
        super().close()
        try:
            Process.objects.filter(name=self._name).delete()
        except Error as error:
            log_events.database_away("the end of beat", error, 0)

    def _show_life(self) -> None:
        """A database that is away is no reason to end: the next tick tries again."""
        if time.monotonic() < self._next_sign:
            return
        try:
            now = timezone.now()
            signs = {"kind": "beat", "seen_at": now}
            Process.objects.update_or_create(name=self._name, defaults=signs)
        except Error as error:
            log_events.database_away("a tick of beat", error, SIGN_OF_LIFE_SECONDS)
        self._next_sign = time.monotonic() + SIGN_OF_LIFE_SECONDS

    def _alert(self, entry: Any, error: Exception) -> None:
        data = {
            "type": "cron_failure",
            "cron": str(entry.schedule),
            "task": entry.task,
            "error": f"{type(error).__name__}: {error}",
        }
        try:
            raise_alert(
                AlertKind.CRON_FAILURE,
                fingerprint=f"cron_failure:{entry.name}",
                message=f"The schedule {entry.name} failed",
                data=data,
            )
        except Error as away:
            log_events.database_away("an alert of beat", away, 0)

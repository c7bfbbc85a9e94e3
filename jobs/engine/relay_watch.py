"""Says in a worker's log when no relay lives: then nothing new will reach it."""

import threading
import time
from typing import Any

from django.db import Error, connection

from jobs import log_events
from jobs.models import Process

#: The first look leaves a system that starts the time to do so.
LOOK_EVERY_SECONDS = 60


def watch(**_: Any) -> None:
    """Start looking, in a new child. Connected to Celery's `worker_process_init`."""
    threading.Thread(target=_look_for_ever, name="relay-watch", daemon=True).start()


def _look_for_ever() -> None:
    while True:
        time.sleep(LOOK_EVERY_SECONDS)
        try:
            if not Process.objects.living("relay").exists():
                log_events.no_relay()
        except Error:
            pass  # The database is away: whoever needs it says so.
        finally:
            connection.close()

"""
Looks, from every worker, at what would otherwise be noticed by nobody.

Each child has a thread for it: the relay can't tell of its own end.
"""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.db.models import Count, Min
from django.db.models.functions import Now

from jobs import log_events, queries
from jobs.alerts import channels, operations, tenants
from jobs.database_clock import database_now
from jobs.models import Alert, DeadLetter, Process
from jobs.states import AlertKind, DeadLetterState, DeliveryState


def watch(**_: Any) -> None:
    """Start looking, in a new child. Connected to Celery's `worker_process_init`."""
    threading.Thread(target=_look_for_ever, name="watch", daemon=True).start()


def look() -> None:
    """Raise every alert that is due now. Any number of processes may look at once."""
    for each in (
        operations.send_updates,
        tenants.tell_of_more,
        _look_at_relay,
        _look_at_beat,
        _look_at_open_dead_letters,
    ):
        _try(each)


def _try(look_at: Callable[[], object]) -> None:
    """One look that fails keeps none of the others back, and comes again."""
    try:
        look_at()
    except (OperationalError, InterfaceError):
        pass  # The database is away: whoever needs it says so.
    except Exception as error:
        log_events.watch_failed(error)


def _look_for_ever() -> None:
    while True:
        time.sleep(settings.ALERTS_WATCH_SECONDS)
        try:
            look()
        finally:
            connection.close()


def _look_at_relay() -> None:
    if not Process.objects.living("relay").exists():
        log_events.no_relay()
    lag = queries.relay_lag()
    if lag <= timedelta(seconds=settings.ALERTS_RELAY_LAG_SECONDS):
        return
    seconds = round(lag.total_seconds())
    alert = operations.raise_alert(
        AlertKind.RELAY_LAG,
        fingerprint="relay_lag",
        message=f"Due jobs have waited for the relay for {seconds} s",
        data={"lag_seconds": seconds, "relays": Process.objects.living("relay").count()},
    )
    if alert:
        _send_past_the_relay(alert)


def _look_at_beat() -> None:
    """A beat that was stopped, killed or hangs can't tell: where one has ticked, one must tick."""
    last = queries.last_beat_tick()
    allowed = timedelta(seconds=settings.ALERTS_BEAT_SILENT_SECONDS)
    if last is None or (silent := database_now() - last) <= allowed:
        return
    seconds = round(silent.total_seconds())
    operations.raise_alert(
        AlertKind.BEAT_SILENT,
        fingerprint="beat_silent",
        message=f"Beat has not ticked for {seconds} s",
        data={
            "type": "beat_silent",
            "last_tick": last.isoformat(),
            "silent_seconds": seconds,
        },
        since=last,  # It ticked in between: an alert of its last silence was of another one.
    )


def _look_at_open_dead_letters() -> None:
    oldest_allowed = Now() - timedelta(hours=settings.ALERTS_DEAD_LETTER_AGE_HOURS)
    left = DeadLetter.objects.filter(
        state=DeadLetterState.OPEN, recorded_at__lt=oldest_allowed
    ).aggregate(count=Count("pk"), oldest=Min("recorded_at"))
    if left["count"]:
        hours = (database_now() - left["oldest"]) // timedelta(hours=1)
        operations.raise_alert(
            AlertKind.DEAD_LETTER_AGE,
            fingerprint="dead_letter_age",
            message=f"Open dead letters: {left['count']}, the oldest for {hours} hours",
            data={"dead_letters": left["count"], "oldest": left["oldest"].isoformat()},
        )


def _send_past_the_relay(alert: Alert) -> None:
    """
    Send an alert about the relay from here, for its job waits for that very relay.

    The job tries again where this fails, and finds nothing to do where it succeeds.
    """
    for delivery in alert.deliveries.filter(state=DeliveryState.PENDING):
        try:
            channels.send(delivery)
        except Exception as error:
            log_events.alert_not_delivered(alert, delivery.channel, error)
        else:
            operations.mark_delivered(delivery.pk)

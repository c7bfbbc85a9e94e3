"""Checks of the daemons, by the signs of life that they write."""

from datetime import timedelta

from django.conf import settings

from jobs import queries
from jobs.database_clock import database_now
from jobs.doctor.findings import Finding, failed, ok
from jobs.models import Process

RELAY = "manage.py relay"
BEAT = "celery -A project beat"


def relay_lives() -> Finding:
    count = Process.objects.living("relay").count()
    return ok(f"{count} alive") if count else failed("none has shown a sign of life", _start(RELAY))


def relay_keeps_up() -> Finding:
    lag = round(queries.relay_lag().total_seconds())
    if lag <= settings.ALERTS_RELAY_LAG_SECONDS:
        return ok(f"{lag} s")
    limit = f"due jobs wait for {lag} s; the limit is {settings.ALERTS_RELAY_LAG_SECONDS} s"
    return failed(limit, f"See the log of the relay. More of them may run: {RELAY}")


def beat_ticks() -> Finding:
    last = queries.last_beat_tick()
    if last is None:
        return failed("none has ticked", _start(BEAT))
    ago = database_now() - last
    words = f"its last tick was {round(ago.total_seconds())} s ago"
    return ok(words) if ago < timedelta(seconds=30) else failed(words, _start(BEAT))


def _start(command: str) -> str:
    if settings.PROFILE == "embedded":
        return "manage.py up runs it"
    return command

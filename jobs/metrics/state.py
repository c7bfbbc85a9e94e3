"""How far events are counted and which days are closed, behind a lock that one holder has."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now

from jobs.engine.statements import idle_limit, is_postgres
from jobs.models import MetricsState

#: A process that hangs between two statements, or a machine that is gone, lets go after this.
IDLE_SECONDS = 60

ONLY_ROW = 1

#: Before the first event.
EVER = datetime.min.replace(tzinfo=UTC)


@contextmanager
def locked_state() -> Iterator[Any]:
    """
    Open a transaction that holds the state's row, and yield it with the database's `now`.

    Losing the race means waiting for the other to commit, and then working from what it left:
    who skipped instead would leave what was committed since the other began to read uncounted
    until the next run. SQLite has one writer at a time anyway.
    """
    MetricsState.objects.get_or_create(pk=ONLY_ROW)
    with transaction.atomic():
        _prepare_session()
        # `now` is the time of this very statement: everything is read after it.
        yield MetricsState.objects.select_for_update().annotate(now=Now()).get(pk=ONLY_ROW)


def open_from(state: MetricsState) -> datetime:
    """Return the first moment whose day is not closed."""
    if state.closed_before is None:
        return EVER
    return datetime.combine(state.closed_before, time.min, UTC)


def _prepare_session() -> None:
    """
    Bound how long the transaction may idle, and set the time zone that Django believes in.

    Django takes the times that it reads for ones of that zone: a session whose zone was changed
    since it began would else give a watermark that is hours away.
    """
    if is_postgres():
        zone = "SET_CONFIG('TimeZone', %s, true)"
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {idle_limit(IDLE_SECONDS)}, {zone}", [connection.timezone_name])

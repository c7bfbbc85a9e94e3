"""Counts events per tenant, name and day: the only module that writes daily metrics."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection

from jobs.metrics import log_events, statements
from jobs.metrics.state import locked_state, open_from
from jobs.models import MetricsState


@dataclass(frozen=True)
class Counted:
    """What one run did."""

    full: bool  #: Whether it counted every open group, and not those that were touched alone.
    changed: int  #: Groups whose count is new or another than before.


def aggregate_events() -> Counted:
    """
    Count what was recorded since the last run; return what was done.

    Idempotent: any number of runs, one after the other or at once, leave the same counts.
    """
    with locked_state() as state:
        counted = count_events(state, now=state.now)
    log_events.aggregated(counted.full, counted.changed)
    return counted


def count_events(state: MetricsState, *, now: datetime) -> Counted:
    """
    Count, and move the watermark to `now`; the caller holds the state's lock.

    `now` is a time of the database before anything was read. A transaction that records an
    event commits it later than `recorded_at` says: it may be missed now, and is found by the
    next run, which reads again from JOBS_METRICS_OVERLAP_SECONDS before the watermark.
    """
    since = _recorded_since(state, now)
    full = since is None or _mostly_touched(state, since)
    if full:
        changed = _execute(statements.recount_all(), open_from(state))
    else:
        changed = _execute(statements.recount_touched(), since, open_from(state))
    state.watermark = now
    state.save(update_fields=["watermark"])
    return Counted(full, changed)


def _recorded_since(state: MetricsState, now: datetime) -> datetime | None:
    """Return from which `recorded_at` on to read; None: nothing was ever read."""
    if state.watermark is None:
        return None
    # The earlier of both: a database clock that was set back would else hide what comes next.
    return min(state.watermark, now) - timedelta(seconds=settings.JOBS_METRICS_OVERLAP_SECONDS)


def _mostly_touched(state: MetricsState, since: datetime) -> bool:
    """
    Tell whether more than half of all groups were touched: then one pass over all is faster.

    Measured (docs/benchmarks.md): by index a group costs more than its share of a full count.
    """
    touched = _ask(statements.count_touched(), since, open_from(state))
    known = _ask(statements.count_known(), open_from(state).date(), 2 * touched)
    return touched * 2 > known


def _ask(statement: str, *parameters: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, _adapted(parameters))
        return int(cursor.fetchone()[0])


def _execute(statement: str, *parameters: Any) -> int:
    """Execute a statement that writes, and return how many rows it wrote."""
    with connection.cursor() as cursor:
        cursor.execute(statement, _adapted(parameters))
        return int(cursor.rowcount)


def _adapted(parameters: tuple[Any, ...]) -> list[Any]:
    """Return the parameters as the database keeps them: SQLite's times are texts in UTC."""
    adapt = connection.ops.adapt_datetimefield_value
    return [adapt(each) if isinstance(each, datetime) else each for each in parameters]

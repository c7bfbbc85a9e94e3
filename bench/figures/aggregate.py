"""How fast are 10,000 new events counted among five millions? Against counting all anew."""

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from rich.console import Console

from bench.rounds import Figure, Goal
from bench.stage import Stage
from jobs.metrics import aggregate, statements
from jobs.metrics.state import EVER

EVENTS = 5_000_000
NEW_EVENTS = 10_000
DAYS, TENANTS, NAMES = 400, 50, 5

#: Parameters: hours since they were recorded, days that they are spread over, how many.
STORE = f"""
    INSERT INTO jobs_event (tenant_id, name, occurred_at, recorded_at)
    SELECT LPAD(TO_HEX(n %% {TENANTS} + 1), 32, '0')::uuid,
           'bench_' || n / {TENANTS} %% {NAMES} || '.done',
           NOW() - n / {TENANTS * NAMES} %% %s * INTERVAL '1 day' - RANDOM() * INTERVAL '1 hour',
           NOW() - %s * INTERVAL '1 hour'
      FROM GENERATE_SERIES(1, %s) n"""

#: As if the rounds before had been yesterday: the overlap does not reach them.
AGE_RECORDS = """
    UPDATE jobs_event SET recorded_at = recorded_at - INTERVAL '1 day'
     WHERE recorded_at > NOW() - INTERVAL '1 day'"""


def measure(stage: Stage, rounds: int) -> list[Figure]:
    """Return the figures for few groups of many events, and for as many groups as events."""
    _store_history()
    figures = [
        _figure("of two days: 500 of 100,000 groups", 2, 0.05, rounds),
        _figure("of 40 days, each another group", 40, 0.5, rounds),
    ]
    _show_plans()
    return figures


def _figure(which: str, days: int, goal: float, rounds: int) -> Figure:
    return Figure(
        f"{NEW_EVENTS:,} new events among {EVENTS:,}, counted; {which}",
        "counting all anew",
        "ms",
        Goal(goal, most=True),
        [_round(days) for _ in range(rounds)],
    )


def _store_history() -> None:
    """Store and count the events."""
    _store(EVENTS, days=DAYS, hours_ago=48)
    _run("VACUUM ANALYZE jobs_event")
    aggregate.aggregate_events()


def _round(days: int) -> tuple[float, float]:
    """Count new events by what changed, then all anew; return the times of a full count and it."""
    _forget_rounds()
    _store(NEW_EVENTS, days=days)
    product = _time(_count_what_changed)
    reference = _time(_count_all)
    return reference, product


def _forget_rounds() -> None:
    """Leave no trace of earlier rounds: neither in the overlap nor as rows that are dead."""
    _run(AGE_RECORDS)
    _run("VACUUM ANALYZE jobs_event, jobs_dailymetric")


def _count_what_changed() -> None:
    if aggregate.aggregate_events().full:
        raise RuntimeError("It counted all anew.")


def _count_all() -> None:
    """Count all; the counts are right by then, so it need not even write."""
    _run(statements.recount_all(), EVER)


def _show_plans() -> None:
    """Print how PostgreSQL works the statements of a run; what they wrote is rolled back."""
    _forget_rounds()
    _store(NEW_EVENTS, days=2)
    console = Console(soft_wrap=True, highlight=False, markup=False)
    since = timezone.now() - timedelta(seconds=settings.JOBS_METRICS_OVERLAP_SECONDS)
    with transaction.atomic():
        for statement in (statements.count_touched(), statements.recount_touched()):
            for (line,) in _run(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", since, EVER):
                console.print(line)
        transaction.set_rollback(True)


def _store(count: int, *, days: int, hours_ago: int = 0) -> None:
    _run(STORE, days, hours_ago, count)


def _time(action: Callable[[], None]) -> float:
    """Return how long it takes, in milliseconds."""
    started = time.perf_counter()
    action()
    return (time.perf_counter() - started) * 1000


def _run(statement: str, *parameters: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
        return cursor.fetchall() if cursor.description else []

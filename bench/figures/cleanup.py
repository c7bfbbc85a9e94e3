"""What does the nightly clean-up cost those who work? A million expired sessions are deleted."""

import hashlib
import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Event

from django.db import connection
from django.utils import timezone

from bench.rounds import Figure, Goal
from bench.stage import Stage
from project.accounts.models import Session
from project.accounts.retention import delete_expired_sessions
from project.accounts.sessions import SessionStore

SESSIONS = 1_000_000
QUARTER = SESSIONS // 4
#: Those of people who are signed in, and stay.
LIVE_SESSIONS = 10_000

#: Expired ones that requests may hold when their batch comes: they are left to the next run.
HELD_MAX = 1_000

#: What is asked for, of one transaction.
LONGEST_MS = 500.0

#: Between two looks at the clean-up's transaction, and between two sign-ins.
PAUSE_SECONDS = 0.002

FILL = """
    INSERT INTO accounts_session (session_key, session_data, expire_date)
    SELECT MD5(n::text), REPEAT('x', 200), NOW() - n * INTERVAL '1 second'
      FROM GENERATE_SERIES(%s, %s) n"""
AGE_MS = """
    SELECT COALESCE(EXTRACT(EPOCH FROM CLOCK_TIMESTAMP() - xact_start) * 1000, 0)
      FROM pg_stat_activity WHERE pid = %s"""


@dataclass(frozen=True)
class Cost:
    """What deleting took: in all, in one transaction, and for the requests meanwhile."""

    seconds: float
    transaction_ms: float
    wait_ms: float


def measure(stage: Stage, rounds: int) -> list[Figure]:
    """Return the figures of the product's own function, beside Django's `clearsessions`."""
    _delete(1, delete_expired_sessions_now)  # Connects, before the clock runs.
    looks = [_look() for _ in range(rounds)]
    many = f"{SESSIONS:,} expired sessions"
    return [
        Figure(
            f"{many}: the longest transaction that deletes them",
            "what is asked for",
            "ms",
            Goal(1, most=True),
            [(LONGEST_MS, product.transaction_ms) for product, *_ in looks],
        ),
        Figure(
            f"{many}: the longest that a request waits for its session meanwhile",
            "clearsessions, one statement",
            "ms",
            Goal(1, most=True),
            [(django.wait_ms, product.wait_ms) for product, _, django, *_ in looks],
        ),
        Figure(
            f"{many}: the time it takes",
            f"four times that of {QUARTER:,}",
            "s",
            Goal(1.3, most=True),
            [(quarter.seconds * 4, product.seconds) for product, quarter, *_ in looks],
        ),
        Figure(
            f"{many}: a second run at once",
            "the first",
            "s",
            Goal(0.1, most=True),
            [(product.seconds, again) for product, *_, again, _ in looks],
        ),
        Figure(
            f"{many}: a second run after the table was vacuumed",
            "the first",
            "s",
            Goal(0.1, most=True),
            [(product.seconds, later) for product, *_, later in looks],
        ),
    ]


def _look() -> tuple[Cost, Cost, Cost, float, float]:
    """
    Return the costs of all, of a quarter, of all by Django, and the seconds of two more runs.

    Autovacuum comes within a minute; the next night finds a table without dead index entries.
    """
    quarter = _delete(QUARTER, delete_expired_sessions_now)
    django = _delete(SESSIONS, SessionStore.clear_expired)
    product = _delete(SESSIONS, delete_expired_sessions_now)
    again = _seconds(delete_expired_sessions_now)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM accounts_session")
    return product, quarter, django, again, _seconds(delete_expired_sessions_now)


def delete_expired_sessions_now() -> None:
    delete_expired_sessions(now=timezone.now())


def _delete(count: int, delete: Callable[[], None]) -> Cost:
    _fill(count)
    look = partial(_age_ms, _backend())
    with longest(look) as transaction, longest(partial(_requests, count)) as wait:
        seconds = _seconds(delete)
    left = Session.objects.count() - LIVE_SESSIONS
    if not 0 <= left <= HELD_MAX:
        raise RuntimeError(f"{left:,} expired sessions are left.")
    return Cost(seconds, transaction[0], wait[0])


def _fill(expired: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE accounts_session")
        cursor.execute(FILL, [1, expired])
        cursor.execute(FILL, [-LIVE_SESSIONS - 86_400, -1 - 86_400])
        cursor.execute("VACUUM ANALYZE accounts_session")
        cursor.execute("CHECKPOINT")


def _backend() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT PG_BACKEND_PID()")
        return int(cursor.fetchone()[0])


def _age_ms(backend: int) -> float:
    with connection.cursor() as cursor:
        cursor.execute(AGE_MS, [backend])
        return float(cursor.fetchone()[0])


def _requests(expired: int) -> float:
    """
    Sign in, be seen, come again, sign out; and end a request that began before its session expired.

    Return the milliseconds of the longest of these.
    """
    store = SessionStore()

    def be_seen() -> None:
        store["seen"] = True
        store.save()

    def come_again() -> None:
        if not SessionStore(store.session_key)["seen"]:
            raise RuntimeError("The clean-up deleted a live session.")

    def end_late() -> None:
        key = hashlib.md5(str(random.randint(1, expired)).encode()).hexdigest()
        Session.objects.filter(pk=key).update(session_data="")

    steps = (store.create, be_seen, come_again, store.delete, end_late)
    return max(map(_seconds, steps)) * 1000


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


@contextmanager
def longest(sample: Callable[[], float]) -> Iterator[list[float]]:
    """Sample on a connection of its own until the block ends; yields a list of the maximum."""
    found, stopping = [0.0], Event()

    def run() -> None:
        sample()  # Connects.
        while not stopping.wait(PAUSE_SECONDS):
            found[0] = max(found[0], sample())
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        try:
            yield found
        finally:
            stopping.set()
        running.result()

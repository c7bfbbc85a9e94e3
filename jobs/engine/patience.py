"""Waits, within limits, for a database that is away, so that nothing is lost for it."""

import time
from collections.abc import Callable
from typing import TypeVar

from celery.exceptions import Reject
from django.conf import settings
from django.db import InterfaceError, InternalError, OperationalError, connection
from psycopg.pq import TransactionStatus

from jobs import log_events

T = TypeVar("T")

#: A server that has become a read-only standby, in a failover, answers with an internal error.
AWAY = (OperationalError, InterfaceError, InternalError)

#: PostgreSQL's restart takes seconds, its failover half a minute; then every worker asks at once.
LONGEST_PAUSE_SECONDS = 5.0


def drop_if_cut() -> None:
    """
    Close a connection that a signal has cut in the middle of a statement.

    A stop or a soft time limit is raised wherever the child is, in a commit too. The statement is
    still under way then, and Django may take what follows for a part of its transaction: nothing
    that this process did would be committed any more.
    """
    raw = connection.connection
    if raw is None or connection.vendor != "postgresql":
        return
    under_way = raw.info.transaction_status == TransactionStatus.ACTIVE
    if under_way or raw.autocommit == connection.in_atomic_block:
        connection.in_atomic_block = False
        connection.close()


def patiently(
    what: str,
    action: Callable[[], T],
    *,
    until: float | None = None,
    seconds: float | None = None,
) -> T:
    """
    Run `action`; while the database is away, wait with back-off and run it again.

    `until` (on the monotonic clock) ends the wait before the task's soft limit; `seconds` is its
    length, JOBS_DATABASE_WAIT_SECONDS unless given.

    :raises Reject: with requeue, after that time: the message goes back to its
        queue unacknowledged, so nothing is acknowledged that has not run.
    """
    seconds = settings.JOBS_DATABASE_WAIT_SECONDS if seconds is None else seconds
    deadline = time.monotonic() + seconds
    deadline = min(deadline, until or deadline)
    # The first failure is often a connection that a restart has cut: it costs no wait.
    pause = 0.0
    drop_if_cut()
    while True:
        try:
            return action()
        except AWAY as error:
            if connection.in_atomic_block:
                raise
            connection.close()
            if pause and time.monotonic() + pause > deadline:
                raise Reject(error, requeue=True) from error
            log_events.database_away(what, error, pause)
        time.sleep(pause)
        pause = min(pause * 2 or 0.1, LONGEST_PAUSE_SECONDS)

"""Sends PostgreSQL the hot statements, in few round trips and with little around them."""

import time
from collections.abc import Sequence
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg.pq import TransactionStatus

#: How long a plan is kept: one made for a small table would read all of a table that has grown.
PLAN_SECONDS = 30


def run(statement: str, parameters: Sequence[Any]) -> Any:
    """
    Execute in the current transaction, or as one of its own; return the cursor.

    The parameters travel beside the statement, which is prepared where the database's option
    `prepare_threshold` allows it. Measured: planning it is half of what PostgreSQL does.

    :raises django.db.Error: as Django's cursors do.
    """
    database: Any = connections[DEFAULT_DB_ALIAS]
    database.ensure_connection()  # Not `connect()`: that raises psycopg's errors, not Django's.
    database.validate_no_broken_transaction()
    if database.execute_wrappers or database.queries_logged:
        return _run_watched(database, statement, parameters)
    with database.wrap_database_errors:
        cursor = psycopg.Cursor(database.connection)
        return cursor.execute(_with_new_plan(statement), parameters)


def _run_watched(database: Any, statement: str, parameters: Sequence[Any]) -> Any:
    """Execute by Django's cursor, for whoever logs or counts queries, or wraps them."""
    cursor = database.cursor()
    cursor.execute(statement, parameters)
    return cursor


def run_as_whole_transaction(statement: str, parameters: Sequence[Any]) -> Any:
    """
    Execute the only statement of the current transaction, and commit it: one round trip for three.

    Where something was executed in the transaction before, this is `run`. Nothing may follow
    that could still roll the transaction back.
    """
    raw = connections[DEFAULT_DB_ALIAS].connection
    # Django has opened a transaction by its own account; PostgreSQL hears of it with the first
    # statement, and this is the first.
    if raw is None or raw.autocommit or raw.pgconn.transaction_status != TransactionStatus.IDLE:
        return run(statement, parameters)
    raw.autocommit = True
    try:
        return run(statement, parameters)
    finally:
        if not raw.closed:
            raw.autocommit = False


def _with_new_plan(statement: str) -> str:
    """Return the statement with a text that changes: psycopg keeps what it prepared by text."""
    return f"{statement} /* {time.monotonic() // PLAN_SECONDS:.0f} */"

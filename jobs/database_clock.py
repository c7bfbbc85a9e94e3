"""The time by the database's clock: one for all processes, whatever their machines' show."""

from datetime import UTC, datetime

from django.db import connection


def database_now() -> datetime:
    """Return the present moment (not that of the transaction's start), in UTC."""
    if connection.vendor != "postgresql":
        return datetime.now(UTC)  # SQLite's clock is this machine's.
    with connection.cursor() as cursor:
        cursor.execute("SELECT CLOCK_TIMESTAMP()")
        moment: datetime = cursor.fetchone()[0]
    return moment

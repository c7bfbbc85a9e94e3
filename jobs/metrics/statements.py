"""
The SQL of the aggregate, for PostgreSQL and SQLite. Only `aggregate` executes it.

A day is one of UTC whatever the session's time zone: PostgreSQL is told so, and SQLite has
no other. The first parameters are always `recorded since` (where it is named) and `open from`:
events that occurred earlier are of closed days, whose counts stand.
"""

from functools import cache

from jobs.engine.statements import is_postgres, now


def _day(moment: str) -> str:
    return f"({moment} AT TIME ZONE 'UTC')::date" if is_postgres() else f"DATE({moment})"


def _begin(day: str) -> str:
    return f"({day}::timestamp AT TIME ZONE 'UTC')" if is_postgres() else day


def _end(day: str) -> str:
    return _begin(f"({day} + 1)") if is_postgres() else f"DATE({day}, '+1 day')"


@cache
def touched() -> str:
    """The groups that something was recorded of. Parameters: recorded since, open from."""
    return f"""
        SELECT DISTINCT tenant_id, name, {_day("occurred_at")} AS day
          FROM jobs_event WHERE recorded_at >= %s AND occurred_at >= %s"""


@cache
def count_touched() -> str:
    """Parameters: recorded since, open from."""
    return f"SELECT COUNT(*) FROM ({touched()}) touched"


@cache
def count_known() -> str:
    """Count open groups up to a limit, which bounds its cost. Parameters: first open day, limit."""
    return "SELECT COUNT(*) FROM (SELECT 1 FROM jobs_dailymetric WHERE day >= %s LIMIT %s) known"


@cache
def recount_touched() -> str:
    """
    Count each touched group whole, by the index on (tenant_id, name, occurred_at).

    Parameters: recorded since, open from.
    """
    return f"""
        {_INSERT}
        SELECT tenant_id, name, day,
               (SELECT COUNT(*) FROM jobs_event e
                 WHERE e.tenant_id = touched.tenant_id AND e.name = touched.name
                   AND e.occurred_at >= {_begin("touched.day")}
                   AND e.occurred_at < {_end("touched.day")}),
               {now()}
          FROM ({touched()}) touched WHERE TRUE
        {_UPSERT}"""


@cache
def recount_all() -> str:
    """Count every open group in one pass over the events. Parameters: open from."""
    return f"""
        {_INSERT}
        SELECT tenant_id, name, {_day("occurred_at")}, COUNT(*), {now()}
          FROM jobs_event WHERE occurred_at >= %s
         GROUP BY tenant_id, name, {_day("occurred_at")}
        {_UPSERT}"""


_INSERT = "INSERT INTO jobs_dailymetric (tenant_id, name, day, count, counted_at)"

#: A count that stands is not written again: what the overlap reads twice leaves no dead rows.
_UPSERT = """
        ON CONFLICT (tenant_id, name, day)
        DO UPDATE SET count = EXCLUDED.count, counted_at = EXCLUDED.counted_at
                WHERE jobs_dailymetric.count <> EXCLUDED.count"""

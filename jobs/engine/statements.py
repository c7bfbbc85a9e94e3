"""
The SQL of the hot moves, for PostgreSQL and SQLite. Only `lifecycle` executes it.

Leases and due times are judged by the database's clock, so that the clocks of the machines
need not agree.
"""

from collections.abc import Mapping
from functools import cache

from django.db import connection

TABLE = "jobs_job"


@cache
def is_postgres() -> bool:
    return connection.vendor == "postgresql"


def now(plus_seconds: float = 0) -> str:
    """Return SQL for the database's present time, not that of the transaction's start."""
    if is_postgres():
        return f"(STATEMENT_TIMESTAMP() + INTERVAL '{plus_seconds} seconds')"
    return f"STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now', '+{plus_seconds} seconds')"


def is_in(state: str, *, of: str = TABLE) -> str:
    """
    Return SQL for the state of a job that is found by its id.

    Spelled so that it fits no partial index: PostgreSQL, which sees that hardly a job is in
    flight, would else search all that are for the one (measured, as soon as it has analysed).
    """
    return f"{of}.state || '' = '{state}'"


#: What a worker needs of a job, in the model's order.
CLAIMED_COLUMNS = (
    "id", "type", "queue", "tenant_id", "user_id", "payload", "state", "dispatch", "attempt",
    "failures", "losses", "started_at", "worker",
)  # fmt: skip


@cache
def claim(lease_seconds: int, *, durable: bool = True) -> str:
    """
    Parameters: worker, id, dispatch.

    PostgreSQL, not durable: the commit does not wait for the disk (`synchronous_commit`).
    """
    lax = "" if durable else "FROM SET_CONFIG('synchronous_commit', 'off', true)"
    columns = ", ".join(CLAIMED_COLUMNS) if is_postgres() else "*"
    return f"""
        UPDATE {TABLE}
           SET state = 'running', attempt = attempt + 1, worker = %s,
               started_at = {now()}, lease_until = {now(lease_seconds)}
               {lax if is_postgres() else ""}
         WHERE id = %s AND dispatch = %s AND {is_in("queued")}
           AND (expires_at IS NULL OR expires_at > {now()})
     RETURNING {columns}"""


@cache
def extend_lease(lease_seconds: int) -> str:
    """Parameters: id, dispatch, attempt."""
    return f"""
        UPDATE {TABLE} SET lease_until = {now(lease_seconds)}
         WHERE id = %s AND dispatch = %s AND attempt = %s AND {is_in("running")}"""


def hold(idle_seconds: int) -> str:
    """
    Parameters: id, dispatch, attempt. Lock the row of an attempt's job, if it still is its own.

    PostgreSQL ends a session that idles longer inside the transaction: a process that hangs, or
    a machine that is gone, would else keep its lock, and its job, for ever.
    """
    mine = f"FROM {TABLE} WHERE id = %s AND dispatch = %s AND attempt = %s AND {is_in('running')}"
    if not is_postgres():
        return f"SELECT 1 {mine}"
    return f"SELECT {idle_limit(idle_seconds)} {mine} FOR NO KEY UPDATE"


def idle_limit(seconds: int) -> str:
    """Return SQL that bounds how long this transaction may idle (PostgreSQL)."""
    return f"SET_CONFIG('idle_in_transaction_session_timeout', '{seconds}s', true)"


@cache
def settle_succeeded() -> str:
    """Parameters: id, dispatch, attempt. PostgreSQL: one round trip for the move and its record."""
    return f"""
        WITH moved AS (
            UPDATE {TABLE}
               SET state = 'succeeded', settled_at = {now()}, lease_until = NULL, error = ''
             WHERE id = %s AND dispatch = %s AND attempt = %s AND {is_in("running")}
         RETURNING id, attempt, dispatch, worker, started_at, settled_at)
        INSERT INTO jobs_attempt (job_id, attempt, dispatch, outcome, worker, started_at, ended_at,
                                  error_type, error_message, place, traceback)
        SELECT id, attempt, dispatch, 'succeeded', worker, started_at, settled_at, '', '', '', ''
          FROM moved"""


#: A relay that hangs with the lock below would stop all others.
TAKE_IDLE_SECONDS = 10


def take_lock() -> str:
    """Serialise the takes of several relays, so that `max_in_flight` holds for all together."""
    return f"SELECT {idle_limit(TAKE_IDLE_SECONDS)}, pg_advisory_xact_lock(hashtext('jobs.take'))"


def is_held(partition: str) -> str:
    """Return the condition that holds back this partition, by the table `jobs_partitionhold`."""
    return (
        f"EXISTS (SELECT 1 FROM jobs_partitionhold h WHERE h.partition = {partition} "
        f"AND h.until > {now()})"
    )


TAKEN_COLUMNS = (
    "id, type, queue, payload, tenant_id, user_id, created_at, dispatch, failures, message_options"
)


def take(
    limits: Mapping[str, int], default_limit: int, pool_limits: Mapping[str, int], batch: int
) -> str:
    """
    Move a batch of due jobs to `queued`: partitions in turn, each up to its free slots.

    `pool_limits` are for all partitions of a pool together: their free slots too go round.

    `due` walks the index from partition to partition (a loose index scan), so its cost grows
    with the partitions that have due jobs, not with the jobs that wait. Partitions with the
    fewest jobs in flight come first, so none is passed over when there are more than a batch.
    """
    dues = "state IN ('waiting', 'retrying')"
    limit, room = _limit_case(limits, default_limit), _room_case(pool_limits)
    picked = _due_postgres(dues, limit, room, batch) if is_postgres() else _due_sqlite(dues, limit)
    first = "SELECT id FROM placed WHERE room IS NULL OR place <= room ORDER BY busy + turn"
    return f"""
        WITH RECURSIVE {picked},
        placed AS (
            SELECT id, run_at, busy, turn, {room} AS room,
                   ROW_NUMBER() OVER (PARTITION BY {_pool()}
                                      ORDER BY busy + turn, run_at, id) AS place
              FROM due)
        UPDATE {TABLE} SET state = 'queued', dispatch = dispatch + 1, queued_at = {now()},
                           first_queued_at = COALESCE(first_queued_at, {now()}),
                           copies = 0, copied_at = NULL
         WHERE {_among(f"{first}, run_at, id LIMIT {batch}")}
     RETURNING {TAKEN_COLUMNS}"""


def _among(ids: str) -> str:
    """
    Return the condition that finds the picked rows by their primary key.

    It says nothing of the state: the rows are locked (SQLite: nobody else writes). Named again,
    the state sends a planner without statistics through every due job (measured: 13 s for 13 ms).
    """
    return f"id = ANY(ARRAY({ids}))" if is_postgres() else f"id IN ({ids})"


def _limit_case(limits: Mapping[str, int], default_limit: int) -> str:
    """Return SQL for the limit of a partition, whose pool is the text before the slash."""
    cases = "".join(
        f" WHEN '{pool}' THEN {int(limit)}" for pool, limit in limits.items() if "'" not in pool
    )
    return f"CASE {_pool()}{cases} ELSE {int(default_limit)} END" if cases else str(default_limit)


def _room_case(pool_limits: Mapping[str, int]) -> str:
    """Return SQL for the slots that a partition's whole pool has free; NULL: it has no limit."""
    cases = "".join(
        f" WHEN '{pool}' THEN {int(limit)} - (SELECT COALESCE(SUM(f.busy), 0) FROM flying f "
        f"WHERE {_pool('f.partition')} = '{pool}')"
        for pool, limit in pool_limits.items()
        if "'" not in pool
    )
    return f"CASE {_pool()}{cases} END" if cases else "CAST(NULL AS BIGINT)"


def _pool(partition: str = "partition") -> str:
    if is_postgres():
        return f"SPLIT_PART({partition}, '/', 1)"
    return f"SUBSTR({partition}, 1, INSTR({partition}, '/') - 1)"


def _names(dues: str) -> str:
    """Return the CTE that walks the index of due jobs from partition to partition (PostgreSQL)."""
    return f"""names AS (
            (SELECT partition FROM {TABLE} WHERE {dues} ORDER BY partition LIMIT 1)
            UNION ALL
            SELECT (SELECT j.partition FROM {TABLE} j
                     WHERE {dues} AND j.partition > names.partition
                     ORDER BY j.partition LIMIT 1)
              FROM names WHERE names.partition IS NOT NULL)"""


def _due_postgres(dues: str, limit: str, room: str, batch: int) -> str:
    return f"""
        {_names(dues)},
        flying AS (
            SELECT partition, COUNT(*) AS busy FROM {TABLE}
             WHERE state IN ('queued', 'running') GROUP BY partition),
        known AS (
            SELECT partition, COALESCE(busy, 0) AS busy,
                   LEAST({limit} - COALESCE(busy, 0), {room}) AS slots
              FROM names LEFT JOIN flying USING (partition)
             WHERE partition IS NOT NULL AND NOT {is_held("names.partition")}),
        shares AS (
            -- What has no slot free takes no share of the batch: of a pool that is full there is
            -- one such partition for each tenant.
            SELECT partition, busy,
                   LEAST(slots, GREATEST(1, {batch} / COUNT(*) OVER ())) AS free
              FROM known WHERE slots > 0),
        due AS (
            SELECT next.id, next.run_at, shares.partition, shares.busy,
                   ROW_NUMBER() OVER (PARTITION BY shares.partition
                                      ORDER BY next.run_at, next.id) AS turn
              FROM shares CROSS JOIN LATERAL (
                   SELECT id, run_at FROM {TABLE} j
                    WHERE j.partition = shares.partition AND {dues} AND run_at <= {now()}
                    ORDER BY run_at, id LIMIT shares.free
                      FOR UPDATE SKIP LOCKED) next)"""


def _due_sqlite(dues: str, limit: str) -> str:
    return f"""
        flying AS (
            SELECT partition, COUNT(*) AS busy FROM {TABLE}
             WHERE state IN ('queued', 'running') GROUP BY partition),
        ranked AS (
            SELECT id, run_at, partition, COALESCE(busy, 0) AS busy,
                   ROW_NUMBER() OVER (PARTITION BY partition ORDER BY run_at, id) AS turn
              FROM {TABLE} LEFT JOIN flying USING (partition)
             WHERE {dues} AND run_at <= {now()} AND NOT {is_held(f"{TABLE}.partition")}),
        due AS (
            SELECT id, run_at, partition, busy, turn FROM ranked WHERE turn + busy <= {limit})"""


def seconds_until_due() -> str:
    """
    The seconds until the next job is due, negative where one waits for its slot; NULL: none waits.

    A partition that is held waits for the end of its hold. PostgreSQL: the first of each
    partition, as `take` finds them, and not every job that waits.
    """
    dues = "state IN ('waiting', 'retrying')"
    if not is_postgres():
        due = "MAX(run_at, COALESCE(h.until, run_at))"
        seconds = f"(JULIANDAY(MIN({due})) - JULIANDAY('now')) * 86400"
        holds = "LEFT JOIN jobs_partitionhold h USING (partition)"
        return f"SELECT {seconds} FROM {TABLE} {holds} WHERE {dues}"
    return f"""
        WITH RECURSIVE {_names(dues)}
        SELECT EXTRACT(EPOCH FROM MIN(GREATEST(next.run_at, h.until)) - {now()})
          FROM names LEFT JOIN jobs_partitionhold h USING (partition) CROSS JOIN LATERAL (
               SELECT run_at FROM {TABLE} j
                WHERE j.partition = names.partition AND {dues}
                ORDER BY run_at LIMIT 1) next"""

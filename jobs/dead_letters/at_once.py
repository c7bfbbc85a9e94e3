"""
Stores the commonest dead letter in one statement: settled before, of a cause told of lately.

Where ten thousand die of one cause, all but the first are of this kind. Measured: a third of the
work of the general way, which takes six statements.
"""

import json
from functools import cache

from django.conf import settings
from django.utils import timezone

from jobs.alerts import tenants
from jobs.engine import round_trips, statements
from jobs.engine.dead_message import DeadMessage
from jobs.ids import new_id
from jobs.models import DeadLetter

#: What the log says of a dead letter, in the order in which the statement returns it.
RETURNED = (
    "id", "job_id", "type", "tenant_id", "user_id", "queue", "reason", "dispatch", "attempts",
    "error_type", "error", "place", "worker", "state",
)  # fmt: skip


def store(message: DeadMessage) -> DeadLetter | None:
    """
    Store the message and note it in its job; None where that is not all there is to do, or done.

    One statement, one transaction. Losing the race for the job's row means that another delivery
    has stored it: no row, and the general way finds it so.
    """
    if message.job_id is None or not statements.is_postgres():
        return None
    row = round_trips.run(_statement(settings.ALERTS_INTERVAL_SECONDS), _values(message)).fetchone()
    return row and DeadLetter(**dict(zip(RETURNED, row, strict=True)))


def _values(message: DeadMessage) -> list[object]:
    return [
        message.job_id,
        message.dispatch,
        new_id(),
        f"{message.job_id}:{message.dispatch}",
        message.queue,
        message.reason,
        message.died_at,
        message.body,
        json.dumps(message.headers),
        json.dumps(message.properties),
        message.routing_key[:255],
        timezone.now(),
    ]


@cache
def _statement(interval_seconds: int) -> str:
    """Parameters: those of `_values`."""
    return f"""
        WITH told (job, dispatch, id, death, queue, reason, died_at, body, headers, properties,
                   routing_key, recorded_at) AS (
            VALUES (%s::uuid, %s::int, %s::uuid, %s, %s, %s, %s::timestamptz, %s::bytea, %s::jsonb,
                    %s::jsonb, %s, %s::timestamptz)),
        job AS (
            SELECT j.id, COALESCE(a.error_type, SPLIT_PART(j.error, ':', 1)) AS error_type,
                   COALESCE(a.place, '') AS place, COALESCE(a.worker, '') AS worker
              FROM told JOIN jobs_job j ON j.id = told.job LEFT JOIN LATERAL (
                   SELECT error_type, place, worker FROM jobs_attempt
                    WHERE job_id = told.job AND dispatch = told.dispatch AND error_type <> ''
                    ORDER BY attempt DESC LIMIT 1) a ON true),
        died AS (
            UPDATE jobs_job j SET dead_lettered_at = {statements.now()}
              FROM told, job JOIN jobs_incident i
                ON i.kind = 'dead_letter' AND i.error_type = job.error_type AND i.place = job.place
             WHERE j.id = told.job AND j.dispatch = told.dispatch AND i.type = j.type
               AND {statements.is_in("failed", of="j")} AND j.dead_lettered_at IS NULL
               AND NOT EXISTS (SELECT FROM jobs_job WHERE replay_of_id = told.job)
               AND i.last_alert_at > {statements.now()} - INTERVAL '{interval_seconds} seconds'
               AND ({tenants.nobody_is_told("j")} OR EXISTS (
                   SELECT FROM jobs_tenantincident t
                    WHERE t.incident_id = i.id AND t.tenant_id = j.tenant_id
                      AND t.last_told_at > {statements.now()}
                                           - INTERVAL '{interval_seconds} seconds'))
         RETURNING j.id, j.type, j.tenant_id, j.user_id, j.failures, j.error, i.id AS incident_id)
        INSERT INTO jobs_deadletter (
               id, death, job_id, incident_id, state, type, queue, reason, tenant_id, user_id,
               dispatch, attempts, error_type, error, place, worker, died_at, recorded_at, body,
               headers, properties, routing_key, handled_by, discard_reason)
        SELECT told.id, told.death, died.id, died.incident_id, 'open', died.type, told.queue,
               told.reason, died.tenant_id, died.user_id, told.dispatch, died.failures,
               job.error_type, died.error, job.place, job.worker, told.died_at, told.recorded_at,
               told.body, told.headers, told.properties, told.routing_key, '', ''
          FROM told, job, died
     RETURNING {", ".join(RETURNED)}"""

"""What the command line shows of dead letters."""

import json
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from jobs.dead_letters import operations
from jobs.management.base import Row
from jobs.models import Attempt, AuditEntry, DeadLetter

ERROR_SHOWN_CHARACTERS = 60


def row_of(letter: DeadLetter, *, whole: bool) -> Row:
    """Return a line of the list; for people the error is cut and times are to the second."""
    at = letter.recorded_at
    return {
        "id": letter.pk,
        "type": letter.type,
        "tenant_id": letter.tenant_id,
        "state": letter.state,
        "reason": letter.reason,
        "attempts": letter.attempts,
        "recorded_at": at if whole else f"{at:%Y-%m-%d %H:%M:%S}",
        "error": letter.error if whole else letter.error[:ERROR_SHOWN_CHARACTERS],
    }


def incident_row(incident: Any, *, whole: bool) -> Row:
    first, last = incident.first_seen_at, incident.last_seen_at
    return {
        "id": incident.pk,
        "type": incident.type,
        "error_type": incident.error_type,
        "place": incident.place,
        "total": incident.total,
        "open": incident.open_count,
        "tenants": incident.tenants,
        "first_seen_at": first if whole else f"{first:%Y-%m-%d %H:%M:%S}",
        "last_seen_at": last if whole else f"{last:%Y-%m-%d %H:%M:%S}",
        **({"fingerprint": incident.fingerprint} if whole else {}),
    }


def everything_of(letter: DeadLetter) -> dict[str, Any]:
    """Return all that is known: the message, its job's attempts, and what was done about it."""
    return {
        **row_of(letter, whole=True),
        "queue": letter.queue,
        "job_id": letter.job_id,
        "dispatch": letter.dispatch,
        "incident_id": letter.incident_id,
        "died_at": letter.died_at,
        "cause": cause_in_words(letter),
        "payload": operations.payload_of(letter),
        "body": bytes(letter.body).decode("utf-8", "backslashreplace"),
        "headers": letter.headers,
        "properties": letter.properties,
        "attempts_of_job": [_attempt(each) for each in _history(letter)],
        "replay_job_id": letter.replay_job_id,
        "handled_by": letter.handled_by,
        "handled_at": letter.handled_at,
        "discard_reason": letter.discard_reason,
        "audit": list(
            AuditEntry.objects.filter(subject=f"deadletter:{letter.pk}")
            .order_by("id")
            .values("at", "actor", "action", "detail")
        ),
    }


def cause_in_words(letter: DeadLetter) -> str:
    """Return what it died of, and say so where nothing tells."""
    cause = letter.cause
    if cause is None:
        return "It never ran."
    if not cause.traceback or cause.error_type == "ProcessDied":
        return f"{cause.error_message} Nothing else is known."
    return cause.traceback


def as_text(facts: dict[str, Any]) -> str:
    """Return the facts as lines for people; control characters of a message stay harmless."""
    return "\n".join(f"{name}:{_value(value)}" for name, value in facts.items())


def _value(value: Any) -> str:
    if isinstance(value, dict | list):
        value = json.dumps(value, indent=2, cls=DjangoJSONEncoder, ensure_ascii=False)
    lines = str("-" if value in (None, "") else value).splitlines() or ["-"]
    clean = ["".join(c if c.isprintable() else " " for c in line) for line in lines]
    return f" {clean[0]}" if len(clean) == 1 else "\n" + "\n".join(f"  {line}" for line in clean)


def _history(letter: DeadLetter) -> Any:
    return Attempt.objects.filter(job_id=letter.job_id).order_by("attempt") if letter.job_id else []


def _attempt(attempt: Any) -> Row:
    names = ("attempt", "dispatch", "outcome", "worker", "started_at", "ended_at",
             "error_type", "error_message", "place", "traceback")  # fmt: skip
    return {name: getattr(attempt, name) for name in names}

"""What the admin says of a dead letter, in words."""

import json
import uuid
from typing import Any

from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html

from jobs.admin.base import link, preformatted
from jobs.dead_letters import operations
from jobs.dead_letters.matching import Matching
from jobs.models import DeadLetter, Job
from jobs.states import DeadLetterState

REASONS = {
    "rejected": "A worker rejected it.",
    "expired": "It waited in its queue for longer than it was allowed to.",
    "delivery_limit": "It was delivered again and again, and never acknowledged.",
    "maxlen": "Its queue was full.",
    "ledger": "The ledger knew of the failure; the relay sent the dead letter.",
}

#: A body is shown up to here; the whole of it is in the database, and in `dead_letters show`.
BODY_SHOWN_BYTES = 100_000


def what_happened(letter: DeadLetter) -> str:
    words = REASONS.get(letter.reason, f"The broker says: {letter.reason}.")
    if letter.state == DeadLetterState.SUPERSEDED:
        words += " Its job had gone on without it: nobody needs to act."
    return words


def cause(letter: DeadLetter) -> str:
    """Show the attempt it died of; in plain words where there is none, or nothing is known."""
    attempt = letter.cause
    if attempt is None:
        return "It never ran."
    head = f"Attempt {attempt.attempt} on {attempt.worker}, ended {attempt.ended_at:%F %T} UTC"
    if attempt.error_type == "ProcessDied":
        return f"The process died without a word. {head}."
    return format_html(
        "<p>{}: {}</p><p>{}; {}</p>{}",
        attempt.error_type,
        attempt.error_message,
        head,
        attempt.place,
        preformatted(attempt.traceback),
    )


def payload(letter: DeadLetter) -> str:
    """Return the payload, indented; of a message that can't be read, its bytes as text."""
    readable = operations.payload_of(letter)
    if readable is not None:
        return json.dumps(readable, indent=2, ensure_ascii=False)[:BODY_SHOWN_BYTES]
    return bytes(letter.body)[:BODY_SHOWN_BYTES].decode("utf-8", "backslashreplace")


def payload_form(letter: DeadLetter) -> dict[str, Any]:
    """Return what the form for another payload begins with."""
    return {"job_type": letter.type, "payload": payload(letter)}


def in_words(matching: Matching) -> str:
    said = matching.as_json()
    said.pop("state", None)
    parts = [f"{name.replace('_', ' ')}: {value}" for name, value in said.items()]
    return ", ".join(parts) or "Every open dead letter."


def link_to_job(job_id: uuid.UUID | None) -> str:
    """Return a link; of a job that retention has deleted, its id alone."""
    if job_id is None:
        return "-"
    job = Job.objects.filter(pk=job_id).first()
    return link(job) if job else f"{job_id} (deleted since)"


def page_of(row: Model) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])

"""What people may do to dead letters: replay and discard; each action with its audit entry."""

import uuid
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from jobs import log_events, operations
from jobs.dead_letters.matching import Matching
from jobs.engine.dead_message import DeadMessage
from jobs.errors import DiscardRefused, NotOpen, NotReplayable, UnknownDeadLetter
from jobs.models import AuditEntry, DeadLetter, Job
from jobs.states import DeadLetterState

REASON_MAX_CHARACTERS = 500

#: Dead letters closed in one transaction.
BATCH_ROWS = 1_000


def replay_dead_letter(
    *,
    dead_letter_id: uuid.UUID,
    by: str,
    payload: dict[str, Any] | None = None,
    bulk_replay_id: uuid.UUID | None = None,
) -> Job:
    """
    Run a dead letter's work again, as a new job; with another payload where one is given.

    Harmless when done twice: the row is locked, and the second finds it replayed.

    :raises UnknownDeadLetter: if there is none.
    :raises NotOpen: if it was replayed or discarded.
    :raises NotReplayable: if its message can't be read, or its job was replayed by itself.
    :raises EnqueueRefused: if its type is unknown here, or the payload doesn't fit.
    """
    with transaction.atomic():
        letter = _open(dead_letter_id)
        job = _run_again(letter, by, payload)
        letter.replay_job_id = job.pk
        letter.bulk_replay_id = bulk_replay_id
        _close(letter, DeadLetterState.REPLAYED, by)
        detail = {"job_id": str(job.pk), "edited": payload is not None}
        if bulk_replay_id:
            detail["bulk_replay_id"] = str(bulk_replay_id)
        audit(by, "dead_letter.replayed", letter, detail)
    log_events.dead_letter_replayed(letter, job, by)
    return job


def discard_dead_letter(*, dead_letter_id: uuid.UUID, by: str, reason: str) -> DeadLetter:
    """
    Close a dead letter for good: nobody needs its work any more.

    :raises DiscardRefused: without a reason, or with one that is too long.
    :raises UnknownDeadLetter: if there is none.
    :raises NotOpen: if it was replayed or discarded.
    """
    reason = _checked(reason)
    with transaction.atomic():
        letter = _open(dead_letter_id)
        letter.discard_reason = reason
        _close(letter, DeadLetterState.DISCARDED, by)
        audit(by, "dead_letter.discarded", letter, {"reason": reason})
    log_events.dead_letter_discarded(letter, by, reason)
    return letter


def discard_matching(*, matching: Matching, by: str, reason: str) -> int:
    """
    Close every open dead letter that matches, in batches; return how many. One audit entry.

    Losing the race for one means that somebody deals with it at this moment.

    :raises DiscardRefused: without a reason, with one that is too long, or for another state.
    """
    reason = _checked(reason)
    if matching.state != DeadLetterState.OPEN:
        raise DiscardRefused("Only open dead letters are discarded.")
    entry = AuditEntry.objects.create(
        actor=by[:200], action="dead_letters.discarded", subject="deadletter:matching",
        detail={**matching.as_json(), "reason": reason},
    )  # fmt: skip
    total, now = 0, timezone.now()
    while count := _discard_batch(matching.rows(at=now), by, reason):
        total += count
    entry.detail["count"] = total
    entry.save(update_fields=["detail"])
    return total


def _discard_batch(letters: QuerySet[DeadLetter], by: str, reason: str) -> int:
    with transaction.atomic():
        rows = letters.select_for_update(skip_locked=True, of=("self",), no_key=True)
        ids = list(rows.order_by("id").values_list("pk", flat=True)[:BATCH_ROWS])
        return DeadLetter.objects.filter(pk__in=ids).update(
            state=DeadLetterState.DISCARDED,
            discard_reason=reason,
            handled_by=by[:200],
            handled_at=Now(),
        )


def _checked(reason: str) -> str:
    reason = reason.strip()
    if not reason or len(reason) > REASON_MAX_CHARACTERS or "\0" in reason:
        raise DiscardRefused(f"Say why, in at most {REASON_MAX_CHARACTERS} characters.")
    return reason


def payload_of(letter: DeadLetter) -> dict[str, Any] | None:
    """Return the payload that a replay would use; None where the message can't be read."""
    if letter.job_id:
        job = Job.objects.filter(pk=letter.job_id).first()
        if job:
            payload: dict[str, Any] = job.payload
            return payload
    return message_of(letter).payload


def audit(by: str, action: str, subject: Any, detail: dict[str, Any]) -> None:
    """Write who did what; in the transaction that does it."""
    AuditEntry.objects.create(
        actor=by[:200], action=action, subject=f"{subject._meta.model_name}:{subject.pk}",
        detail=detail,
    )  # fmt: skip


def _open(dead_letter_id: uuid.UUID) -> DeadLetter:
    """Lock an open dead letter until the caller's transaction ends; a second click waits here."""
    rows = DeadLetter.objects.select_for_update(of=("self",), no_key=True)
    letter = rows.filter(pk=dead_letter_id).first()
    if letter is None:
        raise UnknownDeadLetter(f"There is no dead letter {dead_letter_id}.")
    if letter.state != DeadLetterState.OPEN:
        raise NotOpen(f"Dead letter {letter.pk} is {letter.state} already.")
    return letter


def _run_again(letter: DeadLetter, by: str, payload: dict[str, Any] | None) -> Job:
    replayed = Job.objects.filter(replay_of=letter.job_id).first() if letter.job_id else None
    if replayed:
        return replayed  # By itself, at the moment when its dead letter was stored.
    if letter.job_id and Job.objects.filter(pk=letter.job_id).exists():
        return operations.replay_job(job_id=letter.job_id, by=by, payload=payload)
    given = message_of(letter).payload if payload is None else payload
    if given is None or not letter.type:
        raise NotReplayable(
            f"Dead letter {letter.pk} can't be read: replay it with another payload, or discard it."
        )
    return operations.enqueue(
        letter.type, given, tenant_id=letter.tenant_id, user_id=letter.user_id
    )


def _close(letter: DeadLetter, state: DeadLetterState, by: str) -> None:
    letter.state, letter.handled_by, letter.handled_at = state, by[:200], Now()
    letter.save(
        update_fields=[
            "state", "handled_by", "handled_at", "discard_reason", "replay_job", "bulk_replay",
        ]
    )  # fmt: skip
    letter.refresh_from_db(fields=["handled_at"])


def message_of(letter: DeadLetter) -> DeadMessage:
    """Return the stored message, to be read as the alerting task has read it."""
    return DeadMessage(
        body=bytes(letter.body),
        headers=letter.headers,
        properties=letter.properties,
        routing_key=letter.routing_key,
        redelivered=False,
    )

"""Stores a dead message once, whatever kills the process that does it, and alerts."""

import contextlib
import uuid

from django.db import IntegrityError, transaction

from jobs import log_events, registry
from jobs.alerts import operations as alerts
from jobs.alerts import tenants
from jobs.dead_letters import at_once, table
from jobs.dead_letters.diagnosis import why_refused
from jobs.dead_letters.fingerprint import incident_of
from jobs.engine import foreign, lifecycle
from jobs.engine.dead_message import DeadMessage
from jobs.engine.history import one_line
from jobs.errors import JobError, MoveRefused, UnknownJob, UnknownTaskType
from jobs.lanes import lane_names
from jobs.models import DeadLetter, Job
from jobs.states import DeadLetterState

#: How often the job may move while it is decided about, before the message goes back.
TRIES = 5


def record(message: DeadMessage) -> DeadLetter | None:
    """
    Decide what the death of this message means, store it and alert, in one transaction.

    Return what was stored: None where the job goes on, or where it was stored before.

    Losing the race to store it (`IntegrityError`) means that another delivery did: look again.

    :raises MoveRefused: if the job moved under every look; the message goes back to its queue.
    """
    message = _as_kept(message)
    letter = at_once.store(message) or _store_in_full(message)
    if letter is not None:
        log_events.dead_lettered(letter)
    return letter


def _as_kept(message: DeadMessage) -> DeadMessage:
    """Return one of another program as its job was stored: without what its type keeps apart."""
    if not (message.is_foreign and message.job_id and registry.puts_away(message.type)):
        return message
    job = Job.objects.filter(pk=message.job_id).first()
    return message.with_payload(job.payload) if job else message


def _store_in_full(message: DeadMessage) -> DeadLetter | None:
    for _ in range(TRIES - 1):
        with contextlib.suppress(MoveRefused, IntegrityError), transaction.atomic():
            return _decide_and_store(message)
    with transaction.atomic():
        return _decide_and_store(message)


def _decide_and_store(message: DeadMessage) -> DeadLetter | None:
    job = Job.objects.filter(pk=message.job_id).first() if message.job_id else None
    if job is None:
        return _store_unknown(message)
    try:
        if not table.is_dead(job, message):
            log_events.death_undone(job, message.reason)
            return None
    except table.Superseded:
        return _store_superseded(message, job)
    if not lifecycle.mark_dead_lettered(job):
        return None  # Stored before: the message came again, or the relay sent it as well.
    letter = _of_job(message, job)
    letter.incident = incident_of(
        job_type=letter.type, error_type=letter.error_type, place=letter.place
    )
    letter.save(force_insert=True)
    alerts.alert_of_dead_letter(letter, silent=job.queue == alerts.LANE)
    tenants.tell(letter, lane=job.queue)
    return letter


def _store_unknown(message: DeadMessage) -> DeadLetter | None:
    """Store a message of no job in the ledger: only the broker's word says why it died."""
    death = message.digest
    stored = DeadLetter.objects.filter(death=death).exists()
    if stored and message.redelivered:
        return None  # Whoever stored it died before the acknowledgement.
    error = _why_dead(message)
    if isinstance(error, UnknownTaskType) and _is_adopted(message):
        return None
    letter = _of_message(message)
    letter.death = f"{death}:{uuid.uuid4().hex[:16]}" if stored else death
    letter.error_type, letter.error = type(error).__name__, one_line(error)
    letter.incident = incident_of(job_type=letter.type, error_type=letter.error_type, place="")
    letter.save(force_insert=True)
    alerts.alert_of_dead_letter(letter, silent=message.queue == alerts.LANE)
    return letter


def _why_dead(message: DeadMessage) -> JobError:
    """One of our own that the ledger doesn't know outlived its row: an older database, perhaps."""
    if message.is_foreign or message.fault:
        return why_refused(message)
    return UnknownJob("The ledger has no job of this id, in any dispatch.")


def _is_adopted(message: DeadMessage) -> bool:
    """Give a message of another program its row, if it names a lane: then a deploy may help it."""
    if message.job_id is None or message.queue not in lane_names() or message.reason != "rejected":
        return False
    foreign.store_waiting(
        message.job_id,
        job_type=message.type,
        queue=message.queue,
        payload=message.payload,
        tenant_id=message.tenant_id,
        user_id=message.user_id,
    )
    return True


def _store_superseded(message: DeadMessage, job: Job) -> DeadLetter | None:
    """Keep a message that its job has outlived, for whoever asks; nobody needs to act."""
    # Not its dispatch's own death: a job that runs on, in the same dispatch, may yet die.
    death = f"{_death_of(job, message.dispatch)}:superseded"
    if DeadLetter.objects.filter(death=death).exists():
        return None
    letter = _of_message(message)
    letter.death, letter.job, letter.state = death, job, DeadLetterState.SUPERSEDED
    letter.type, letter.tenant_id, letter.user_id = job.type, job.tenant_id, job.user_id
    letter.error = f"The job is {job.state} in dispatch {job.dispatch}."
    # Losing the race means that another delivery of the message has stored it.
    DeadLetter.objects.bulk_create([letter], ignore_conflicts=True)
    return letter


def _of_job(message: DeadMessage, job: Job) -> DeadLetter:
    """Join what the ledger knows of the job's end to its message."""
    letter = _of_message(message)
    letter.death, letter.job, letter.dispatch = _death_of(job, job.dispatch), job, job.dispatch
    letter.type, letter.tenant_id, letter.user_id = job.type, job.tenant_id, job.user_id
    letter.attempts = job.attempts
    letter.error = job.error
    letter.error_type = job.error.partition(":")[0]
    replay = Job.objects.filter(replay_of=job).first()
    if replay:  # Somebody was faster than its dead letter.
        letter.state, letter.replay_job, letter.handled_at = (
            DeadLetterState.REPLAYED,
            replay,
            replay.created_at,
        )
    cause = letter.cause
    if cause:
        letter.error_type, letter.place = cause.error_type, cause.place
        letter.worker = cause.worker
    return letter


def _of_message(message: DeadMessage) -> DeadLetter:
    return DeadLetter(
        type=message.type,
        queue=message.queue,
        reason=message.reason,
        tenant_id=message.tenant_id,
        user_id=message.user_id,
        dispatch=message.dispatch,
        died_at=message.died_at,
        body=message.body,
        headers=message.headers,
        properties=message.properties,
        routing_key=message.routing_key[:255],
    )


def _death_of(job: Job, dispatch: int) -> str:
    return f"{job.pk}:{dispatch}"

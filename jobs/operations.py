"""What may be done to jobs from outside the engine: enqueue, cancel, replay."""

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import copy
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from pydantic import BaseModel

from jobs import log_events, payloads, queries, registry
from jobs.engine import ledger, lifecycle
from jobs.errors import EnqueueRefused, KeyInUse, MoveRefused, NotLive, NotReplayable
from jobs.ids import new_id
from jobs.models import DeadLetter, Job
from jobs.registry import JobType
from jobs.states import SYSTEM_TENANT, DeadLetterState, JobState

NOBODYS = uuid.UUID(SYSTEM_TENANT)

#: As the columns `key` and `partition` are long.
TEXT_MAX_CHARACTERS = 200

#: Tries to insert a key whose holder settles each time between the insert and the look at it.
KEY_TRIES = 5


def enqueue(
    task: Any,
    payload: BaseModel | dict[str, Any] | None = None,
    *,
    tenant_id: uuid.UUID | None = None,
    user_id: uuid.UUID | None = None,
    key: str | None = None,
    run_at: datetime | None = None,
    expires_at: datetime | None = None,
    priority: int | None = None,
    headers: dict[str, Any] | None = None,
    slot_id: uuid.UUID | None = None,
) -> Job:
    """
    Store a job in the caller's transaction: it runs if that commits; rolled back, it never was.

    One INSERT; nothing is sent from here. `task` is a job task or its name; without a tenant the
    job is the system's. `priority` (0 to 255) and `headers` are of its message, beside the
    engine's own headers; a job of a schedule's slot hands `slot_id` on to what it enqueues.

    :raises UnknownTaskType: if no type has this name.
    :raises PayloadRefused: if the payload doesn't fit its model or is over 64 KiB.
    :raises KeyInUse: if a live job of this tenant and type has the key; the caller's transaction
        goes on.
    :raises EnqueueRefused: if a time has no zone, or key, priority or headers can't be stored.
    """
    job_type = _type_of(task)
    job = _new_job(job_type, payload, tenant_id=tenant_id, user_id=user_id, key=key)
    _set_times(job, run_at, expires_at)
    job.slot_id = slot_id
    job.message_options = payloads.message_options(priority, headers)
    with _put_away(job_type, [job]):
        if key is None:
            ledger.insert(job)
        else:
            _insert_with_key(job)
    log_events.enqueued(job)
    return job


def enqueue_many(
    task: Any,
    payloads: Iterable[BaseModel | dict[str, Any]],
    *,
    tenant_id: uuid.UUID | None = None,
    user_id: uuid.UUID | None = None,
    run_at: datetime | None = None,
    expires_at: datetime | None = None,
) -> list[Job]:
    """
    Store many jobs of one type in the caller's transaction: all of them or none.

    :raises UnknownTaskType: if no type has this name.
    :raises PayloadRefused: if one of the payloads doesn't fit; then none is stored.
    """
    job_type = _type_of(task)
    blank = _blank_job(job_type, tenant_id, user_id)
    _set_times(blank, run_at, expires_at)
    # Copied: measured, Django's constructor costs as much as all else that is done for a job.
    jobs = [_fill(copy(blank), job_type, each) for each in payloads]
    with _put_away(job_type, jobs):
        ledger.insert_many(jobs)
    log_events.enqueued_many(job_type.name, len(jobs))
    return jobs


def cancel_job(*, job_id: uuid.UUID, by: str, tenant_id: uuid.UUID | None = None) -> Job:
    """
    Cancel a live job at once; its running attempt learns it at its heartbeat, fence or settle.

    :raises UnknownJob: if there is none, or it belongs to another tenant.
    :raises NotLive: if it has settled.
    """
    while True:
        job = queries.get_job(job_id, tenant_id=tenant_id)
        if job.is_settled:
            raise NotLive(f"Job {job.pk} has {job.state}; only live jobs can be cancelled.")
        try:
            lifecycle.cancel(job, by=by)
        except MoveRefused:
            continue  # It moved between the look and the write: look again.
        return job


def replay_job(
    *,
    job_id: uuid.UUID,
    by: str,
    tenant_id: uuid.UUID | None = None,
    payload: dict[str, Any] | None = None,
) -> Job:
    """
    Run a failed or cancelled job again, as a new job that points to it. Harmless when done twice.

    With the same payload, unless another is given. Its open dead letter counts as replayed.

    :raises PayloadRefused: if the new payload doesn't fit.
    :raises UnknownJob: if there is none, or it belongs to another tenant.
    :raises NotReplayable: if it is live, succeeded, or has been replayed already.
    """
    old = queries.get_job(job_id, tenant_id=tenant_id)
    if old.state not in (JobState.FAILED, JobState.CANCELLED):
        raise NotReplayable(
            f"Job {old.pk} is {old.state}; only failed or cancelled jobs run again."
        )
    job_type = registry.get_type(old.type)
    given = old.payload if payload is None else payload
    new = _new_job(job_type, given, tenant_id=old.tenant_id, user_id=old.user_id)
    new.replay_of = old
    new.slot_id, new.message_options = old.slot_id, old.message_options
    try:
        with transaction.atomic():  # Two clicks: the unique `replay_of` lets one of them through.
            _lock_dead_letter(old)
            with _put_away(job_type, [new]):
                new.save(force_insert=True)
            job_type.on_replayed(old, new)
            _close_dead_letter(old, new, by)
    except IntegrityError:
        if not Job.objects.filter(replay_of=old).exists():
            raise  # The feature's own, from its hook.
        raise NotReplayable(f"Job {old.pk} was replayed already; replay the newest.") from None
    log_events.replayed(old, new, by)
    return new


def _lock_dead_letter(old: Job) -> None:
    """Lock in the order of `replay_dead_letter`, letter before job: else the two may deadlock."""
    letters = DeadLetter.objects.select_for_update(of=("self",), no_key=True)
    list(letters.filter(job=old, state=DeadLetterState.OPEN).order_by("pk").values_list("pk"))


def _close_dead_letter(old: Job, new: Job, by: str) -> None:
    """A dead letter that is stored only now finds its job replayed, and is closed by nobody."""
    DeadLetter.objects.filter(job=old, state=DeadLetterState.OPEN).update(
        state=DeadLetterState.REPLAYED, replay_job=new, handled_by=by[:200], handled_at=Now()
    )


def _type_of(task: Any) -> JobType:
    return registry.get_type(task if isinstance(task, str) else task.name)


def _new_job(
    job_type: JobType,
    payload: Any,
    *,
    tenant_id: uuid.UUID | None,
    user_id: uuid.UUID | None,
    key: str | None = None,
) -> Job:
    _check_text("key", key)
    job = _blank_job(job_type, tenant_id, user_id)
    job.key = key
    return _fill(job, job_type, payload)


def _blank_job(job_type: JobType, tenant_id: uuid.UUID | None, user_id: uuid.UUID | None) -> Job:
    return Job(
        type=job_type.name,
        queue=job_type.queue,
        tenant_id=tenant_id or NOBODYS,
        user_id=user_id,
    )


def _fill(job: Job, job_type: JobType, payload: Any) -> Job:
    """Give a new job what is its own: an id, a payload, and the partition these lead to."""
    model = job_type.read({} if payload is None else payload)
    job.id = new_id()
    job.partition = job_type.partition_of(job.tenant_id, model)
    _check_text("partition", job.partition)
    job.payload = payloads.as_json(model)
    return job


@contextmanager
def _put_away(job_type: JobType, jobs: Iterable[Job]) -> Iterator[None]:
    """Let the type keep elsewhere what the ledger must not show; both are stored, or neither."""
    if job_type.put_away is None:
        yield
        return
    with transaction.atomic():
        for job in jobs:
            job.payload = payloads.as_json(job_type.put_away(job, job_type.read(job.payload)))
        yield


def _set_times(job: Job, run_at: datetime | None, expires_at: datetime | None) -> None:
    for name, moment in (("run_at", run_at), ("expires_at", expires_at)):
        if moment is None:
            continue
        if moment.tzinfo is None:
            raise EnqueueRefused(f"{name}: {moment} has no time zone.")
        setattr(job, name, moment)


def _check_text(column: str, text: str | None) -> None:
    if text is not None and (len(text) > TEXT_MAX_CHARACTERS or "\0" in text):
        raise EnqueueRefused(f"{column}: at most {TEXT_MAX_CHARACTERS} characters, and no NUL.")


def _insert_with_key(job: Job) -> None:
    """Insert in a savepoint: a key in use must not spoil the caller's transaction."""
    for tries_left in reversed(range(KEY_TRIES)):
        try:
            with transaction.atomic():
                ledger.insert(job)
            return
        except IntegrityError:
            holder = _holder_of_key(job)
            if holder:
                raise KeyInUse(holder) from None
            if not tries_left:
                raise  # Another constraint. Else: the holder settled this instant.


def _holder_of_key(job: Job) -> Job | None:
    same = {"tenant_id": job.tenant_id, "type": job.type, "key": job.key}
    return Job.objects.live().filter(**same).first()

"""The only module that writes Job.state."""

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection, models, transaction
from django.db.models import F
from django.db.models.functions import Now

from jobs import log_events, registry
from jobs.engine import history, round_trips, statements
from jobs.engine.history import Ending
from jobs.errors import MoveRefused
from jobs.models import Job
from jobs.states import MOVES, SETTLED, JobState, Outcome


@contextmanager
def transaction_of(job: Job) -> Iterator[None]:
    """
    Open a transaction that a job is moved in; a rollback takes the move back in `job` as well.

    The next move names what `job` says it saw: after a commit that failed, that it had settled.
    """
    seen = dict(job.__dict__)
    try:
        with transaction.atomic():
            yield
    except BaseException:
        job.__dict__.update(seen)
        raise


def move(job: Job, to: JobState, *, ending: Ending | None = None, **changes: Any) -> None:
    """
    Move a job to another state together with any other columns, and record the attempt that ended.

    The WHERE clause is the lock: it names the state, dispatch and attempt we last saw, so of
    two processes that try, exactly one updates a row. The numbers keep a worker that was given
    up for dead from settling its successor's run. The type's `on_settled` shares the
    transaction, so a feature's own status can't differ from the job's.

    :raises MoveRefused: if the row changed since `job` was read.
    """
    if to not in MOVES.get(JobState(job.state), ()):
        raise ValueError(f"{job}: {job.state} -> {to} is not a move a job can make.")
    with transaction_of(job):
        if not _as_seen(job).update(state=to, **changes):
            raise MoveRefused(job, to)
        if ending:
            history.record(job, ending)
        job.refresh_from_db()
        if to in SETTLED:
            _tell_the_feature(job)


def take_due(batch: int) -> list[tuple[Any, ...]]:
    """Move due jobs to `queued`, each with a new dispatch, and return what their messages need."""
    limits = registry.in_flight_limits()
    statement = statements.take(
        limits, settings.JOBS_IN_FLIGHT_MAX, settings.JOBS_POOL_IN_FLIGHT_MAX, batch
    )
    with transaction.atomic(), connection.cursor() as cursor:
        if statements.is_postgres():
            cursor.execute(statements.take_lock())
        cursor.execute(statement, [])
        taken: list[tuple[Any, ...]] = cursor.fetchall()
        return taken


def claim(job_id: uuid.UUID, dispatch: int, *, worker: str, durable: bool = True) -> Job | None:
    """
    Give a queued job to this worker, with a lease; None if it is not queued in this dispatch.

    One statement, and its own transaction. Losing the race means another worker has a copy.
    `durable=False` waits for no disk: for a type whose effects share a transaction with the
    settle, which makes the claim durable too. What a crash of PostgreSQL takes back is queued.

    The columns that only readers of the ledger need are loaded when they are asked for.
    """
    statement = statements.claim(settings.JOBS_LEASE_SECONDS, durable=durable)
    if not statements.is_postgres():
        key = Job._meta.pk.get_db_prep_value(job_id, connection)
        return next(iter(Job.objects.raw(statement, [worker, key, dispatch])), None)
    row = round_trips.run(statement, [worker, job_id, dispatch]).fetchone()
    return row and _claimed(row)


def take_over(job: Job, *, worker: str) -> None:
    """
    Give a running job whose worker went silent to this one: one loss more.

    :raises MoveRefused: if it settled, or another worker took it over first.
    """
    move(
        job,
        JobState.RUNNING,
        ending=Ending(Outcome.LOST),
        attempt=F("attempt") + 1,
        losses=F("losses") + 1,
        worker=worker,
        started_at=Now(),
        lease_until=lease_from_now(),
    )
    log_events.taken_over(job)


def extend_lease(job: Job) -> bool:
    """Show a sign of life. False: the job was cancelled, or another attempt has it."""
    key = Job._meta.pk.get_db_prep_value(job.pk, connection)
    with connection.cursor() as cursor:
        statement = statements.extend_lease(settings.JOBS_LEASE_SECONDS)
        cursor.execute(statement, [key, job.dispatch, job.attempt])
        return bool(cursor.rowcount == 1)


def hold(job: Job) -> None:
    """
    Lock the job's row until the caller's transaction ends, which it must do within a lease.

    :raises MoveRefused: if it was cancelled or another attempt has it.
    """
    key = Job._meta.pk.get_db_prep_value(job.pk, connection)
    with connection.cursor() as cursor:
        statement = statements.hold(settings.JOBS_LEASE_SECONDS)
        cursor.execute(statement, [key, job.dispatch, job.attempt])
        if not cursor.fetchone():
            raise MoveRefused(job, "written by this attempt")


def succeed(job: Job) -> None:
    """
    Settle a running job as succeeded; the last statement of its transaction.

    :raises MoveRefused: if it was cancelled or another attempt has it; the caller rolls back.
    """
    if not statements.is_postgres():
        ending = Ending(Outcome.SUCCEEDED)
        move(job, JobState.SUCCEEDED, ending=ending, error="", **_settled())
    else:
        tells = registry.has_hook(job.type)
        run = round_trips.run if tells else round_trips.run_as_whole_transaction
        if run(statements.settle_succeeded(), [job.pk, job.dispatch, job.attempt]).rowcount != 1:
            raise MoveRefused(job, JobState.SUCCEEDED)
        job.state = JobState.SUCCEEDED
        _tell_the_feature(job)


def fail(
    job: Job,
    error: BaseException,
    *,
    outcome: Outcome | None = Outcome.FAILED,
    message_follows: bool = False,
) -> None:
    """
    Settle a job as failed. `outcome` is that of the execution which this ends; None: none ran.

    `message_follows`: the caller rejects a message of this dispatch, so that a dead letter comes.
    Where none does, the relay sends one: in five minutes, and at once where none was to come.

    :raises MoveRefused: if it was cancelled or another attempt has it.
    """
    move(
        job,
        JobState.FAILED,
        ending=Ending(outcome, error) if outcome else None,
        failures=F("failures") + int(outcome == Outcome.FAILED),
        losses=F("losses") + int(outcome == Outcome.LOST),
        error=history.one_line(error),
        dead_letter_due_at=_after(message_follows),
        **_settled(),
    )
    log_events.failed(job, error)


def mark_dead_lettered(job: Job) -> bool:
    """
    Note, with the dead letter itself, that a failed job has one.

    False: it was noted before, or the job is not failed in this dispatch; nothing is to be stored.
    """
    failed = Job.objects.filter(pk=job.pk, dispatch=job.dispatch, state=JobState.FAILED)
    return bool(failed.filter(dead_lettered_at=None).update(dead_lettered_at=Now()))


def retry_later(job: Job, error: BaseException, wait: timedelta) -> None:
    """
    Store the wait before the next attempt; the relay sends it when it is due.

    :raises MoveRefused: if it was cancelled or another attempt has it.
    """
    move(
        job,
        JobState.RETRYING,
        ending=Ending(Outcome.FAILED, error),
        failures=F("failures") + 1,
        run_at=Now() + wait,
        lease_until=None,
        error=history.one_line(error),
    )
    log_events.retried(job, error, wait.total_seconds())


def put_back(
    job: Job, why: str, *, outcome: Outcome | None = None, rest: timedelta = timedelta(0)
) -> None:
    """
    Return a queued or running job to `waiting`, due after `rest`.

    It keeps its place before what was enqueued later, unless it rests. A lost one counts as a
    loss and goes behind what waits: it may be what killed its process.

    :raises MoveRefused: if it moved meanwhile: somebody else looks after it.
    """
    lost = outcome == Outcome.LOST
    move(
        job,
        JobState.WAITING,
        ending=Ending(outcome) if outcome else None,
        losses=F("losses") + int(lost),
        run_at=Now() + rest if lost or rest else F("run_at"),
        lease_until=None,
    )
    log_events.put_back(job, why)


def cancel(job: Job, *, by: str) -> None:
    """
    Cancel a live job.

    :raises MoveRefused: if it moved meanwhile: the caller looks again.
    """
    running = job.state == JobState.RUNNING
    ending = Ending(Outcome.CANCELLED) if running else None
    move(job, JobState.CANCELLED, ending=ending, error=f"Cancelled by {by}.", **_settled())
    log_events.cancelled(job, by)


def lease_from_now() -> models.Expression:
    return Now() + timedelta(seconds=settings.JOBS_LEASE_SECONDS)


def _as_seen(job: Job) -> models.QuerySet[Job]:
    """
    Return the job's row, if it is still what `job` says.

    A claim that a crash of PostgreSQL took back leaves its attempt's number to the next one:
    when that began tells them apart. (SQLite loses no commit, and stores milliseconds.)
    """
    seen = Job.objects.filter(
        pk=job.pk, state=job.state, dispatch=job.dispatch, attempt=job.attempt
    )
    if job.state == JobState.RUNNING and statements.is_postgres():
        return seen.filter(started_at=job.started_at)
    return seen


def _claimed(row: Sequence[Any]) -> Job:
    """Build the job of a claimed row, whose JSON psycopg leaves as text, as Django wants it."""
    values = dict(zip(statements.CLAIMED_COLUMNS, row, strict=True))
    values["payload"] = json.loads(values["payload"])
    return Job.from_db(DEFAULT_DB_ALIAS, statements.CLAIMED_COLUMNS, list(values.values()))


def _after(message_follows: bool) -> models.Expression:
    seconds = settings.JOBS_DEAD_LETTER_AFTER_SECONDS if message_follows else 0
    return Now() + timedelta(seconds=seconds)


def _settled() -> dict[str, Any]:
    return {"settled_at": Now(), "lease_until": None}


def _tell_the_feature(job: Job) -> None:
    job_type = registry.find_type(job.type)
    if job_type:
        job_type.on_settled(job)
    if job.state == JobState.FAILED:
        registry.tell_of_failure(job)

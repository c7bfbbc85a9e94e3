"""Job types and jobs for tests of the engine in one process."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone
from pydantic import BaseModel

from jobs import enqueue, job_task
from jobs.engine import lifecycle, message
from jobs.models import Job, Process
from jobs.states import JobState

ACME = uuid.UUID("0193aaaa-0000-7000-8000-000000000001")
GLOBEX = uuid.UUID("0193bbbb-0000-7000-8000-000000000002")


def nothing(*_: Any) -> None:
    """Do nothing: how a script begins."""


@dataclass
class Script:
    """What the types below do. A test sets it by `monkeypatch.setattr(script, "run", ...)`."""

    run: Callable[[Job, Any], None] = nothing
    on_settled: Callable[[Job], None] = nothing
    on_replayed: Callable[[Job, Job], None] = nothing


script = Script()


class Drill(BaseModel):
    label: str = "drill"


def _run(job: Job, payload: Drill) -> None:
    script.run(job, payload)


def _settled(job: Job) -> None:
    script.on_settled(job)


def _replayed(old: Job, new: Job) -> None:
    script.on_replayed(old, new)


_hooks: dict[str, Any] = {"on_settled": _settled, "on_replayed": _replayed}


@job_task(name="drills.run_atomic", **_hooks)
def run_atomic(job: Job, payload: Drill) -> None:
    _run(job, payload)


@job_task(name="drills.run_freely", atomic=False, **_hooks)
def run_freely(job: Job, payload: Drill) -> None:
    _run(job, payload)


@job_task(name="drills.run_singly", max_in_flight=1)
def run_singly(job: Job, payload: Drill) -> None:
    _run(job, payload)


def leave_effect(label: str) -> None:
    """Write a row by which a test sees what was committed; the same label twice is two rows."""
    name = f"{label} {uuid.uuid4()}"
    Process.objects.create(name=name, kind="effect", seen_at=timezone.now())


def effects(label: str = "") -> int:
    return Process.objects.filter(kind="effect", name__startswith=label).count()


def make_job(task: Any = run_atomic, *, silent: bool = False, **columns: Any) -> Job:
    """Store a job as it would be after some moves; `silent` lets a running one's lease be over."""
    job = enqueue(task, {}, tenant_id=columns.pop("tenant_id", ACME))
    if columns.get("state") == JobState.RUNNING:
        lease = timezone.now() + timedelta(seconds=-1 if silent else 60)
        columns = {"dispatch": 1, "attempt": 1, "lease_until": lease, **columns}
    if columns.get("state") in (JobState.QUEUED, JobState.RUNNING):
        columns = {"dispatch": 1, "queued_at": timezone.now(), **columns}
    Job.objects.filter(pk=job.pk).update(**columns)
    return fresh(job)


def store_backlog(count: int, *, partitions: int, due: bool = True) -> None:
    """Store so many waiting jobs in one statement (PostgreSQL), spread over the partitions."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO jobs_job (id, type, queue, partition, tenant_id, payload, state, dispatch,
                                  attempt, failures, losses, copies, worker, error, run_at)
            SELECT gen_random_uuid(), %s, 'jobs', 'jobs/' || MOD(n, %s), %s, '{}', 'waiting',
                   0, 0, 0, 0, 0, '', '', NOW() + n * INTERVAL '1 ms' + %s * INTERVAL '1 day'
              FROM GENERATE_SERIES(1, %s) n""",
            [run_atomic.name, partitions, ACME, -1 if due else 1, count],
        )
        cursor.execute("ANALYZE jobs_job")


def fresh(job: Job) -> Job:
    """Return the job as the ledger has it."""
    return Job.objects.get(pk=job.pk)


def take(batch: int = 100) -> list[message.Message]:
    """Take due jobs as the relay does, and return their messages."""
    return [message.from_taken(row) for row in lifecycle.take_due(batch)]


def make_due(*jobs: Job) -> None:
    """Let the wait of these jobs be over."""
    keys = [job.pk for job in jobs]
    Job.objects.filter(pk__in=keys).update(run_at=timezone.now() - timedelta(seconds=1))


def on_postgres() -> bool:
    return connection.vendor == "postgresql"

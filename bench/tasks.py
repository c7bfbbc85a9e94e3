"""The job types that are measured; the processes load them through JOBS_EXTRA_TASK_MODULES."""

import uuid

from pydantic import BaseModel

from bench import ticks
from jobs import job_task
from jobs.models import Job

PARTITIONS = 100


class Number(BaseModel):
    """A job like any other: its number says which partition it belongs to."""

    number: int


def partition_of(tenant_id: uuid.UUID, payload: Number) -> str:
    """Spread the jobs of one `enqueue_many` as those of a hundred tenants would be."""
    return str(payload.number % PARTITIONS)


@job_task(name="bench.do_nothing", partition=partition_of)
def do_nothing(job: Job, payload: Number) -> None:
    ticks.tick()


@job_task(name="bench.note_start", partition=partition_of)
def note_start(job: Job, payload: Number) -> None:
    ticks.note(str(payload.number))

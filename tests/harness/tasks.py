"""Job types that only tests enqueue; `JOBS_EXTRA_TASK_MODULES` loads them into the processes."""

import time

from django.db import connection
from pydantic import BaseModel

from jobs import job_task
from jobs.models import Job


class Errand(BaseModel):
    """Leave an effect called `label`, take `seconds`, and fail the first `failures` times."""

    label: str
    seconds: float = 0
    failures: int = 0


def add_row(job: Job, label: str) -> None:
    """Write one row of `test_effects` in the current transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO test_effects (label, job_id, attempt) VALUES (%s, %s, %s)",
            [label, str(job.pk), job.attempt],
        )


@job_task(name="tests.add_effect")
def add_effect(job: Job, payload: Errand) -> None:
    """Atomic: the effect comes first, so that what lasts lies between effect and settle."""
    add_row(job, payload.label)
    time.sleep(payload.seconds)
    if job.attempt <= payload.failures:
        raise RuntimeError(f"{payload.label} fails on attempt {job.attempt}")


@job_task(name="tests.add_effect_fenced", atomic=False)
def add_effect_fenced(job: Job, payload: Errand) -> None:
    """Not atomic: the effect and the settle share the transaction that ends the work."""
    time.sleep(payload.seconds)
    if job.attempt <= payload.failures:
        raise RuntimeError(f"{payload.label} fails on attempt {job.attempt}")
    with job.succeeding():
        add_row(job, payload.label)


@job_task(name="tests.add_effect_then_wait", atomic=False)
def add_effect_then_wait(job: Job, payload: Errand) -> None:
    """Not atomic: each attempt leaves an effect at its start, which shows how often it ran."""
    with job.fence():
        add_row(job, payload.label)
    time.sleep(payload.seconds)
    if job.attempt <= payload.failures:
        raise RuntimeError(f"{payload.label} fails on attempt {job.attempt}")


@job_task(name="tests.do_nothing")
def do_nothing(job: Job, payload: Errand) -> None:
    """Atomic and empty: what is left is the engine's own cost."""

"""The job that calls a plain Celery task for a schedule."""

import uuid
from typing import Any

from celery import current_app
from pydantic import BaseModel

from jobs.models import Job
from jobs.schedules import log_events
from jobs.schedules.starting import CALL_PLAIN_TASK
from jobs.task import job_task


class PlainCall(BaseModel):
    """A call of a Celery task that is no job: what django-celery-beat would have published."""

    task: str
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    options: dict[str, Any] = {}
    headers: dict[str, Any] = {}


@job_task(name=CALL_PLAIN_TASK, atomic=False)
def call_plain_task(job: Job, payload: PlainCall) -> None:
    """
    Publish the call; at least once, with the same task id on every attempt.

    From here on it is Celery's: what becomes of it is in its result, or in the dead letters.
    """
    task_id = str(uuid.uuid5(job.pk, payload.task))  # Not the job's: that message is another.
    current_app.send_task(
        payload.task,
        args=payload.args,
        kwargs=payload.kwargs,
        task_id=task_id,
        headers=payload.headers,
        mandatory=True,  # A confirm alone does not tell of a message that no queue took.
        **payload.options,
    )
    log_events.plain_task_called(payload.task, task_id)

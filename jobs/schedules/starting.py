"""Turns a slot into a job: what a schedule asks for, as the ledger keeps it."""

from datetime import datetime, timedelta
from typing import Any

from celery import current_app
from django_celery_beat.models import PeriodicTask

from jobs import operations, registry
from jobs.errors import UnknownTaskType
from jobs.models import Job, Slot
from jobs.schedules.definitions import arguments_of, headers_of, positional_of
from jobs.schedules.errors import BrokenSchedule

#: The job type that calls a plain Celery task, which is no job and has no place in the ledger.
CALL_PLAIN_TASK = "schedules.call_plain_task"


def start_job(schedule: PeriodicTask, slot: Slot, *, now: datetime) -> Job:
    """
    Enqueue a slot's job in the caller's transaction, with the schedule's priority and headers.

    :raises BrokenSchedule: if a field of the schedule can't be read, or kept.
    :raises EnqueueRefused: if the task is unknown or its payload doesn't fit.
    """
    task, payload = call_of(schedule)
    return operations.enqueue(
        task,
        payload,
        expires_at=_expiry(schedule, now),
        priority=schedule.priority,
        headers=headers_of(schedule),
        slot_id=slot.pk,
    )


def call_of(schedule: PeriodicTask) -> tuple[str, dict[str, Any]]:
    """
    Return the job type and the payload that a schedule asks for; a plain task is called by a job.

    :raises BrokenSchedule: if a field of the schedule can't be read, or kept.
    :raises UnknownTaskType: if no job type and no Celery task has its name.
    """
    job_type = registry.find_type(schedule.task)
    if job_type is None:
        return CALL_PLAIN_TASK, _plain_call(schedule)
    for field in ("exchange", "routing_key"):
        if getattr(schedule, field):
            raise BrokenSchedule(f"{field}: a job is sent to its type's lane, {job_type.queue!r}.")
    if schedule.queue not in (None, "", job_type.queue):
        raise BrokenSchedule(f"queue: jobs of {job_type.name} go to the lane {job_type.queue!r}.")
    if positional_of(schedule):
        raise BrokenSchedule("args: a job's payload is keyword arguments alone.")
    return job_type.name, arguments_of(schedule)


def _plain_call(schedule: PeriodicTask) -> dict[str, Any]:
    if schedule.task not in current_app.tasks:
        raise UnknownTaskType(schedule.task, sorted(each.name for each in registry.all_types()))
    return {
        "task": schedule.task,
        "args": positional_of(schedule),
        "kwargs": arguments_of(schedule),
        "options": {
            name: value
            for name in ("queue", "exchange", "routing_key", "priority")
            if (value := getattr(schedule, name)) not in (None, "")
        },
        "headers": headers_of(schedule),
    }


def _expiry(schedule: PeriodicTask, now: datetime) -> datetime | None:
    if schedule.expire_seconds is not None:
        return now + timedelta(seconds=schedule.expire_seconds)
    expires: datetime | None = schedule.expires
    return expires

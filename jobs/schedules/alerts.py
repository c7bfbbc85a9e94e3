"""Alerts of schedules that can't run, and of their jobs that failed for good."""

from django.core.exceptions import ValidationError
from django_celery_beat.models import PeriodicTask

from jobs.alerts.operations import LANE, raise_alert
from jobs.models import Job, Slot
from jobs.schedules.definitions import cron_of, definition_of
from jobs.states import AlertKind, SlotOutcome


def alert_of_schedule(schedule: PeriodicTask, error: str, *, task: str | None = None) -> None:
    """
    Alert of a failed schedule, in the caller's transaction; grouped by schedule and task.

    `task` is the part that failed, where it isn't the schedule's own.
    """
    failed = task or schedule.task
    raise_alert(
        AlertKind.CRON_FAILURE,
        fingerprint=_fingerprint(schedule, failed),
        message=f"The schedule {schedule.name} failed: {failed}: {error}",
        data={
            "type": "cron_failure",
            "cron": _cron(schedule),
            "task": failed,
            "error": error,
            "schedule": schedule.name,
        },
    )


def tell_of_failed_job(job: Job) -> None:
    """Show a slot as failed, and alert of it, when one of its jobs fails; by `registry`."""
    if job.slot_id is None:
        return
    slot = Slot.objects.filter(pk=job.slot_id).first()
    if slot is None:
        return  # Retention was faster.
    error = job.error if slot.job_id == job.pk else f"{job.type}: {job.error}"
    # Losing the race means that another of its jobs failed too: the last error stands.
    Slot.objects.filter(pk=slot.pk).update(outcome=SlotOutcome.FAILED, error=error)
    schedule = PeriodicTask.objects.filter(pk=slot.schedule_id).first()
    if schedule is not None and job.queue != LANE:
        alert_of_schedule(schedule, job.error, task=job.type)


def _cron(schedule: PeriodicTask) -> str:
    try:
        return cron_of(definition_of(schedule))
    except ValidationError as unreadable:  # A time zone that this machine doesn't know.
        return "; ".join(unreadable.messages)


def _fingerprint(schedule: PeriodicTask, task: str) -> str:
    """Return at most 64 characters, as an incident's are: the ids say it all."""
    return f"cron:{schedule.pk}:{task}"[:64]

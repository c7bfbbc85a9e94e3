"""The jobs of workflows beside their steps."""

from jobs.models import Job
from jobs.task import job_task
from jobs.workflows import advancing, firing, operations, timers
from jobs.workflows.payloads import StopPayload, TimerPayload


@job_task(name=timers.FIRE, on_settled=firing.note_end)
def fire_timer(job: Job, payload: TimerPayload) -> None:
    """Do what a timer is for, once."""
    firing.fire(job, payload)


@job_task(name=advancing.STOP, atomic=False)
def stop_steps(job: Job, payload: StopPayload) -> None:
    """Cancel what still waits or runs for a workflow that has ended."""
    operations.stop_steps(payload.workflow_id)

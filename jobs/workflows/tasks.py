"""The jobs of workflows beside their steps."""

from jobs.lanes import TIMERS
from jobs.models import Job
from jobs.payloads import Nothing
from jobs.schedules.moments import moment_of
from jobs.task import job_task
from jobs.upkeep.parts import register_cleanup
from jobs.workflows import advancing, firing, retention, stopping, timers
from jobs.workflows.payloads import StopPayload, TimerPayload


@job_task(name=timers.FIRE, queue=TIMERS, on_settled=firing.note_end)
def fire_timer(job: Job, payload: TimerPayload) -> None:
    """Do what a timer is for, once; behind no other job, of no tenant: a deadline is a deadline."""
    firing.fire(job, payload)


@job_task(name=advancing.STOP, atomic=False)
def stop_steps(job: Job, payload: StopPayload) -> None:
    """Cancel what still waits or runs for a workflow that has ended."""
    stopping.stop_steps(payload.workflow_id)


@job_task(name="workflows.delete_expired", atomic=False)
def delete_expired_workflows(job: Job, payload: Nothing) -> None:
    """Delete workflows that ended over JOBS_WORKFLOWS_KEEP_DAYS ago."""
    retention.delete_expired_workflows(now=moment_of(job))


register_cleanup(delete_expired_workflows.name)

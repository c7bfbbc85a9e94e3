"""The jobs that count events and delete old ones."""

from jobs.metrics import aggregate, retention
from jobs.models import Job
from jobs.payloads import Nothing
from jobs.schedules.moments import moment_of
from jobs.task import job_task
from jobs.upkeep.parts import register_cleanup


@job_task(name="metrics.aggregate_metrics", atomic=False)
def aggregate_metrics(job: Job, payload: Nothing) -> None:
    """Count events; not fenced, for an attempt too many leaves the same counts."""
    aggregate.aggregate_events()


@job_task(name="metrics.delete_expired_events", atomic=False)
def delete_expired_events(job: Job, payload: Nothing) -> None:
    """Delete the events that JOBS_EVENTS_KEEP_DAYS no longer keeps; an attempt too many is idle."""
    retention.delete_expired_events(moment_of(job))


register_cleanup(delete_expired_events.name)

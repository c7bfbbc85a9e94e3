"""
The jobs of the nightly clean-up: the one that starts it, and the engine's own parts.

No part is fenced: what an attempt too many deletes was to be deleted.
"""

from jobs.models import Job
from jobs.payloads import Nothing
from jobs.schedules.moments import moment_of
from jobs.task import job_task
from jobs.upkeep import dead_letters, health_checks, requests, results, settled_jobs, slots, start
from jobs.upkeep.parts import register_cleanup


@job_task(name="upkeep.start_cleanup")
def start_cleanup(job: Job, payload: Nothing) -> None:
    """Start every part of the clean-up; atomic, so that it starts each once."""
    start.start_parts(job)


@job_task(name="jobs.delete_settled_jobs", atomic=False)
def delete_settled_jobs(job: Job, payload: Nothing) -> None:
    """Delete jobs that settled over JOBS_KEEP_DAYS ago."""
    settled_jobs.delete_settled_jobs(now=moment_of(job))


@job_task(name="dead_letters.delete_expired", atomic=False)
def delete_expired_dead_letters(job: Job, payload: Nothing) -> None:
    """Delete dead letters that were dealt with over JOBS_DEAD_LETTERS_KEEP_DAYS ago."""
    dead_letters.delete_old_dead_letters(now=moment_of(job))


@job_task(name="jobs.delete_expired_requests", atomic=False)
def delete_expired_requests(job: Job, payload: Nothing) -> None:
    """Delete the answers of idempotent requests after a day."""
    requests.delete_expired_requests(now=moment_of(job))


@job_task(name="schedules.delete_expired_slots", atomic=False)
def delete_expired_slots(job: Job, payload: Nothing) -> None:
    """Delete slots older than JOBS_SLOTS_KEEP_DAYS, and the definitions they followed."""
    slots.delete_expired_slots(now=moment_of(job))


@job_task(name="results.delete_expired", atomic=False)
def delete_expired_results(job: Job, payload: Nothing) -> None:
    """Delete results of plain Celery tasks older than JOBS_RESULTS_KEEP_DAYS."""
    results.delete_expired_results(now=moment_of(job))


@job_task(name="health.delete_expired_checks", atomic=False)
def delete_expired_checks(job: Job, payload: Nothing) -> None:
    """Delete health checks older than JOBS_HEALTH_KEEP_DAYS."""
    health_checks.delete_expired_checks(now=moment_of(job))


for part in (
    delete_settled_jobs,
    delete_expired_dead_letters,
    delete_expired_requests,
    delete_expired_slots,
    delete_expired_results,
    delete_expired_checks,
):
    register_cleanup(part.name)

"""The parts of the nightly clean-up that belong to accounts; an attempt too many is idle."""

from jobs import job_task
from jobs.models import Job
from jobs.payloads import Nothing
from jobs.schedules.moments import moment_of
from jobs.upkeep.parts import register_cleanup
from project.accounts import retention


@job_task(name="accounts.delete_expired_sessions", atomic=False)
def delete_expired_sessions(job: Job, payload: Nothing) -> None:
    """Delete sessions that have expired."""
    retention.delete_expired_sessions(now=moment_of(job))


@job_task(name="accounts.delete_expired_invitations", atomic=False)
def delete_expired_invitations(job: Job, payload: Nothing) -> None:
    """Delete invitations that nobody accepted in time, and those that were revoked."""
    retention.delete_expired_invitations(now=moment_of(job))


register_cleanup(delete_expired_sessions.name)
register_cleanup(delete_expired_invitations.name)

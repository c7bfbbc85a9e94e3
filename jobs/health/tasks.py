"""The job that looks at the health of the installation."""

from django.utils import timezone

from jobs.doctor import examine
from jobs.health import changes, history
from jobs.models import Job
from jobs.payloads import Nothing
from jobs.task import job_task

#: A check that hangs is cut here, in seconds, and is a failure; the others are still made.
SOFT_LIMIT_SECONDS = 120
HARD_LIMIT_SECONDS = 150


@job_task(
    name="health.check_health",
    atomic=False,  # Checks last, and talk to more than the database.
    max_in_flight=1,
    max_retries=1,  # The next look is better than a late one.
    soft_time_limit=SOFT_LIMIT_SECONDS,
    time_limit=HARD_LIMIT_SECONDS,
)
def check_health(job: Job, payload: Nothing) -> None:
    """Make every check of doctor, keep what it found, and tell of what has changed."""
    findings = examine()
    at = job.started_at or timezone.now()  # By the database's clock, as the times of alerts are.
    with job.succeeding():
        history.store(findings, at=at)
        changes.tell(findings, at=at)

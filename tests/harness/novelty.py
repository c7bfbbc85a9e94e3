"""Job types of a release that the processes may not have yet."""

from jobs import job_task
from jobs.models import Job
from tests.harness.dying import Nothing


@job_task(name="tests.come_late", queue="exports")
def come_late(job: Job, payload: Nothing) -> None:
    """A worker that knows it comes up while it waits."""


@job_task(name="tests.never_come")
def never_come(job: Job, payload: Nothing) -> None:
    """No worker ever knows it."""

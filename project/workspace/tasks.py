"""The part of the nightly clean-up that belongs to the workspace; an attempt too many is idle."""

from jobs import job_task
from jobs.models import Job
from jobs.payloads import Nothing
from jobs.schedules.moments import moment_of
from jobs.upkeep.parts import register_cleanup
from project.workspace import archiving


@job_task(name="workspace.archive_projects", atomic=False)
def archive_projects(job: Job, payload: Nothing) -> None:
    """Archive projects that nobody has touched for WORKSPACE_ARCHIVE_AFTER_DAYS."""
    archiving.archive_projects(now=moment_of(job))


register_cleanup(archive_projects.name)

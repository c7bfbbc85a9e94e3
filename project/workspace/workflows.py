"""
The workflow that archives a project: what it would take with it, a confirmation, and the deed.

It shows the kinds of steps that a person's decision needs; nobody's answer in half an hour is no.
"""

import uuid

from pydantic import BaseModel

from jobs.errors import GiveUp
from jobs.workflows import StepRun, WorkflowDefinition
from project.workspace import archiving
from project.workspace.models import Item, Project


class ArchiveState(BaseModel):
    project_id: uuid.UUID
    items: int = 0
    confirmed: bool = False


class ArchiveStart(BaseModel):
    project_id: uuid.UUID


class Confirmation(BaseModel):
    confirmed: bool


archive_project = WorkflowDefinition(
    "workspace.archive_project", state=ArchiveState, start=ArchiveStart, over_http=True
)


@archive_project.step("workspace.count_project_items", max_retries=1)
def count_project_items(run: StepRun[ArchiveState]) -> dict[str, int]:
    """Count what would be archived, for whoever decides."""
    _project(run)
    run.state.items = Item.objects.filter(project=run.state.project_id).count()
    return {"items": run.state.items}


@archive_project.synchronous_step("workspace.confirm_archiving", input=Confirmation)
def confirm_archiving(run: StepRun[ArchiveState]) -> dict[str, bool]:
    """Take the decision, which is sent by the API."""
    run.state.confirmed = run.input.confirmed
    return {"confirmed": run.state.confirmed}


@archive_project.step("workspace.archive_one_project", max_retries=1)
def archive_one_project(run: StepRun[ArchiveState]) -> dict[str, bool]:
    """Archive it, if it was confirmed."""
    if run.state.confirmed:
        archiving.archive_project(_project(run))
    return {"archived": run.state.confirmed}


def _project(run: StepRun[ArchiveState]) -> Project:
    """:raises GiveUp: if the tenant has no such project."""
    projects = Project.objects.filter(tenant=run.workflow.tenant_id)
    project = projects.filter(pk=run.state.project_id).first()
    if project is None:
        raise GiveUp(f"There is no project {run.state.project_id}.")
    return project

"""The admin's pages of workflows, for tests: their addresses, and workflows to show on them."""

import uuid
from datetime import timedelta
from typing import Any

from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from jobs.admin.workflow_filters import first_id_at
from jobs.models import Workflow
from jobs.testing import run_enqueued_jobs
from jobs.workflows import operations
from project.accounts.models import Tenant
from project.workspace.models import Project
from tests.schedule_pages import page_of, said, text_of

__all__ = ["CELLS", "HOSTILE", "LIST", "page_of", "said", "text_of"]

LIST = reverse("admin:jobs_workflow_changelist")
CELLS = reverse("admin:jobs_workflow_cells")
HOSTILE = "<script>alert(1)</script>"

ARCHIVE = "workspace.archive_project"

#: The step at which an archiving waits for somebody.
DECISION = 2


def start_archiving(tenant: Tenant, **options: Any) -> Workflow:
    """Start one, which waits at step 2 for a decision once what is due has run."""
    project = Project.objects.create(tenant=tenant, name=f"Autumn {uuid.uuid4().hex[:8]}")
    state = {"project_id": str(project.pk)}
    return operations.start_workflow(ARCHIVE, state, tenant_id=tenant.pk, **options)


def wait_for_decision(tenant: Tenant, **options: Any) -> Workflow:
    workflow = start_archiving(tenant, **options)
    run_enqueued_jobs()
    return Workflow.objects.get(pk=workflow.pk)


def decide(workflow: Workflow) -> None:
    operations.send_step(
        workflow_id=workflow.pk,
        number=DECISION,
        data={"confirmed": True},
        tenant_id=workflow.tenant_id,
    )


def queries_of(client: Client, url: str) -> int:
    """Return how many statements a page costs that was opened before."""
    assert client.get(url).status_code == 200
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url).status_code == 200
    return len(captured)


def cancelled(workflow: Workflow) -> Workflow:
    return operations.cancel_workflow(workflow_id=workflow.pk, by="ann")


def started_ago(tenant: Tenant, age: timedelta) -> Workflow:
    """Leave one that was started so long ago: its id says so, too."""
    at = timezone.now() - age
    key = uuid.UUID(int=first_id_at(at).int + 1)
    return Workflow.objects.create(
        pk=key, name=ARCHIVE, version=1, tenant_id=tenant.pk, step_count=3, created_at=at
    )

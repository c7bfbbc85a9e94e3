"""
The lock of a workflow: its row.

Whoever also locks a job's row does that first, as the engine's own moves do: a settle locks the job
and then, by its hook, the workflow. The other order could deadlock with it.
"""

import uuid

from django.conf import settings
from django.db import connection

from jobs.engine import statements
from jobs.models import Workflow
from jobs.workflows.errors import UnknownWorkflow


def lock_workflow(workflow_id: uuid.UUID, *, tenant_id: uuid.UUID | None = None) -> Workflow:
    """
    Return the workflow, locked until the caller's transaction ends; waits for its turn.

    PostgreSQL ends a transaction that idles for longer than a lease: a machine that vanishes would
    else keep the lock, and the deadline from firing, for hours.

    :raises UnknownWorkflow: if there is none, or it belongs to another tenant.
    """
    if statements.is_postgres():
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {statements.idle_limit(settings.JOBS_LEASE_SECONDS)}")
    found = Workflow.objects.select_for_update(of=("self",), no_key=True).filter(pk=workflow_id)
    if tenant_id is not None:
        found = found.filter(tenant_id=tenant_id)
    workflow = found.first()
    if workflow is None:
        raise UnknownWorkflow(workflow_id)
    return workflow

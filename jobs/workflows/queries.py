"""What may be read of workflows."""

import uuid
from collections.abc import Mapping
from typing import Any

from jobs.models import Workflow, WorkflowStep
from jobs.workflows.definition import Kind
from jobs.workflows.errors import UnknownWorkflow
from jobs.workflows.given import refuse_unknown
from jobs.workflows.registry import find_definition


def get_workflow(workflow_id: uuid.UUID, *, tenant_id: uuid.UUID | None = None) -> Workflow:
    """
    Return one workflow; a tenant's own only, where a tenant is named.

    :raises UnknownWorkflow: the same for an id that isn't there and for another tenant's.
    """
    workflows = Workflow.objects.filter(pk=workflow_id)
    if tenant_id is not None:
        workflows = workflows.filter(tenant_id=tenant_id)
    workflow = workflows.first()
    if workflow is None:
        raise UnknownWorkflow(workflow_id)
    return workflow


def list_workflows(
    tenant_id: uuid.UUID,
    *,
    status: str | None = None,
    name: str | None = None,
    before: uuid.UUID | None = None,
    limit: int = 50,
) -> list[Workflow]:
    """Return the tenant's workflows, newest first; `before` is the id of the last one seen."""
    workflows = Workflow.objects.filter(tenant_id=tenant_id).order_by("-pk")
    wanted = {"status": status, "name": name, "pk__lt": before}
    given = {name: value for name, value in wanted.items() if value}
    return list(workflows.filter(**given)[:limit])


def list_steps(workflow: Workflow) -> list[WorkflowStep]:
    return list(workflow.steps.order_by("number", "branch"))


def refuse_unknown_data(
    workflow_id: uuid.UUID, tenant_id: uuid.UUID, number: int, data: Mapping[str, Any]
) -> None:
    """
    Refuse what comes from outside and is no field of the step's input.

    :raises UnknownWorkflow: if there is none, or it belongs to another tenant.
    :raises StateRefused: naming the field.
    """
    definition = find_definition(get_workflow(workflow_id, tenant_id=tenant_id).name)
    step = definition.definition_of(number) if definition else None
    if step and step.kind == Kind.SYNCHRONOUS:
        refuse_unknown(step.input, data)

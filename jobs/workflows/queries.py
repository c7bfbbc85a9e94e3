"""What may be read of workflows."""

import uuid
from dataclasses import dataclass, field

from django.db.models import Count

from jobs.models import Workflow, WorkflowStep
from jobs.states import StepStatus
from jobs.workflows.definition import Kind
from jobs.workflows.errors import UnknownWorkflow
from jobs.workflows.registry import find_definition

#: A parallel step with more is told by its counts alone, unless all are asked for.
BRANCHES_SHOWN = 100


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


@dataclass
class BranchCounts:
    """How many branches of a step there are, and how many of each status."""

    number: int
    by_status: dict[str, int] = field(default_factory=lambda: dict.fromkeys(StepStatus.values, 0))

    @property
    def total(self) -> int:
        return sum(self.by_status.values())


def count_branches(workflow: Workflow) -> list[BranchCounts]:
    """Return the counts of each step that has begun, in order; one query."""
    rows = workflow.steps.values_list("number", "status").annotate(rows=Count("pk"))
    counts: dict[int, BranchCounts] = {}
    for number, status, count in rows.order_by("number"):
        counts.setdefault(number, BranchCounts(number)).by_status[status] = count
    return list(counts.values())


def list_steps(workflow: Workflow, counts: list[BranchCounts] | None = None) -> list[WorkflowStep]:
    """Return its steps and branches; with counts, not those of a step with too many of them."""
    steps = workflow.steps.order_by("number", "branch")
    if counts is not None:
        few = [each.number for each in counts if each.total <= BRANCHES_SHOWN]
        steps = steps.filter(number__in=few)
    return list(steps)


def is_parallel(workflow: Workflow, counts: BranchCounts) -> bool:
    """Tell whether a step has branches, also where this release no longer knows its definition."""
    definition = find_definition(workflow.name)
    step = definition.definition_of(counts.number) if definition else None
    return counts.total > 1 or (step is not None and step.kind == Kind.PARALLEL)

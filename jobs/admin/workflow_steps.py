"""What the steps of a workflow are called, also those that have not begun."""

from jobs.models import Workflow
from jobs.workflows.errors import UnknownDefinition
from jobs.workflows.registry import get_definition


def step_names(workflow: Workflow) -> dict[int, str]:
    """Return the names by number; none where this release has no such workflow any more."""
    try:
        definition = get_definition(workflow.name)
    except UnknownDefinition:
        return {}
    return {step.number: step.name for step in definition.steps}


def last_step(workflow: Workflow) -> int:
    """Return the number of the step at which it is, or ended."""
    return min(workflow.step_number, workflow.step_count)

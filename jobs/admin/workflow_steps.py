"""What the steps of a workflow are called, also those that have not begun."""

from jobs.models import Workflow
from jobs.workflows.registry import find_definition


def step_names(workflow: Workflow) -> dict[int, str]:
    """Return the names by number; none where this release has no such workflow any more."""
    definition = find_definition(workflow.name)
    return {step.number: step.name for step in definition.steps} if definition else {}


def last_step_to_go_on_from(workflow: Workflow) -> int:
    """Return the latest step that a restart begins with: its definition may want an earlier one."""
    definition = find_definition(workflow.name)
    last = last_step(workflow)
    return definition.restart_at(last) if definition else last


def last_step(workflow: Workflow) -> int:
    """Return the number of the step at which it is, or ended."""
    return min(workflow.step_number, workflow.step_count)

"""
Moves a locked workflow on: records a step, begins the next, ends it. The one writer of `status`.

Every function here expects the caller to hold the workflow's lock, in a transaction.
"""

from collections.abc import Sequence
from typing import Any

from django.db.models.functions import Now
from pydantic import BaseModel

from jobs.models import Workflow, WorkflowChange, WorkflowStep
from jobs.operations import enqueue, enqueue_many
from jobs.states import StepStatus, WorkflowStatus
from jobs.workflows import log_events
from jobs.workflows.definition import Kind, Output, StepDefinition, StepRun, actor_of
from jobs.workflows.payloads import StepPayload, StopPayload
from jobs.workflows.registry import find_definition, get_definition
from jobs.workflows.results import storable
from jobs.workflows.state import state_of, storable_state

STOP = "workflows.stop_steps"


def begin_step(workflow: Workflow, number: int) -> None:
    """
    Store the step of this number, or its branches, and enqueue them; after the last: the end.

    Branches that a restart has kept are stored already.
    """
    definition = get_definition(workflow.name)
    step = definition.definition_of(number)
    workflow.step_number = number
    if step is None:
        end(workflow, WorkflowStatus.COMPLETED)
        return
    inputs = list(enumerate(_inputs(workflow, step)))
    kept = set(workflow.steps.filter(number=number).values_list("branch", flat=True))
    left = [each for each in inputs if each[0] not in kept]
    workflow.percent = _percent(workflow, len(inputs), len(left))
    workflow.save(update_fields=["step_number", "state", "percent"])
    if not left:  # A parallel step without a branch: there is nothing to wait for.
        begin_step(workflow, number + 1)
    else:
        _store(workflow, step, left)


def record_step(step: WorkflowStep, workflow: Workflow, output: Output, state: BaseModel) -> None:
    """
    Store what a step has brought, and go on once all its branches are done.

    :raises ResultRefused: if it can't be stored, or the state doesn't fit its model.
    """
    workflow.state = storable_state(workflow, state)
    WorkflowStep.objects.filter(pk=step.pk).update(
        status=StepStatus.DONE,
        output=storable(output, "The output"),
        state=workflow.state,
        error="",
        ended_at=Now(),
    )
    branches = WorkflowStep.objects.filter(workflow=workflow, number=step.number)
    left = branches.exclude(status=StepStatus.DONE).count()
    workflow.percent = _percent(workflow, branches.count(), left)
    if left:
        workflow.save(update_fields=["state", "percent"])
        return
    note(workflow, f"step {step.number} done")
    begin_step(workflow, step.number + 1)


def end(workflow: Workflow, status: WorkflowStatus, *, error: str = "") -> None:
    """
    Give a live workflow its final status, and let nothing of it go on.

    Its steps' jobs are stopped by a job of its own: here, their rows would be locked in the
    wrong order.
    """
    workflow.status, workflow.error = status, error
    workflow.percent = 100 if status == WorkflowStatus.COMPLETED else workflow.percent
    workflow.save(update_fields=["status", "error", "percent", "step_number", "state"])
    Workflow.objects.filter(pk=workflow.pk).update(ended_at=Now())
    workflow.timers.all().delete()
    note(workflow, status.value)
    if status != WorkflowStatus.COMPLETED:
        left = workflow.steps.filter(status__in=(StepStatus.WAITING, StepStatus.RUNNING))
        left.update(status=StepStatus.CANCELLED, ended_at=Now())
        enqueue(STOP, StopPayload(workflow_id=workflow.pk), **actor_of(workflow))
    definition = find_definition(workflow.name)
    if definition:  # Without it, as after a release that drops one, it ends all the same.
        definition.on_ended(workflow)
    log_events.ended(workflow)


def note(workflow: Workflow, what: str) -> None:
    """Add a line to the workflow's history."""
    WorkflowChange.objects.create(
        workflow=workflow, status=workflow.status, step_number=workflow.step_number, what=what[:200]
    )


def _inputs(workflow: Workflow, step: StepDefinition) -> Sequence[Any]:
    if step.branches is None:
        return [None]
    return step.branches(
        StepRun(
            workflow=workflow,
            number=step.number,
            branch=0,
            attempt=0,
            state=state_of(workflow),
            input=None,
            job=None,
        )
    )


def _store(workflow: Workflow, step: StepDefinition, inputs: Sequence[tuple[int, Any]]) -> None:
    """Store the branches and their jobs: each table is written once, however many there are."""
    rows = [
        WorkflowStep(
            workflow=workflow,
            number=step.number,
            branch=branch,
            name=step.name,
            input=storable(given, "The input of a branch"),
        )
        for branch, given in inputs
    ]
    if step.kind != Kind.SYNCHRONOUS:
        payloads = [
            StepPayload(workflow_id=workflow.pk, number=step.number, branch=row.branch)
            for row in rows
        ]
        jobs = enqueue_many(step.name, payloads, **actor_of(workflow))
        for row, job in zip(rows, jobs, strict=True):
            row.job_id = job.pk
    WorkflowStep.objects.bulk_create(rows, batch_size=500)


def _percent(workflow: Workflow, branches: int, left: int) -> int:
    """Of the steps that it began with; a release may have changed how many there are."""
    share = (branches - left) / branches if branches else 1
    return min(99, int(100 * (workflow.step_number - 1 + share) / workflow.step_count))

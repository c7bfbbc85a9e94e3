"""What may be done to workflows from outside: start, send a step, cancel, restart, move timers."""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from pydantic import BaseModel

from jobs.errors import GiveUp
from jobs.models import Workflow, WorkflowStep
from jobs.states import StepStatus, WorkflowStatus
from jobs.workflows import advancing, log_events, restarting, timers
from jobs.workflows.definition import Kind, StepDefinition, StepRun
from jobs.workflows.errors import (
    StepOfWorkers,
    StepOutOfOrder,
    StepRefused,
    UnknownStep,
    UnknownTimer,
    WorkflowEnded,
    WorkflowKeyInUse,
)
from jobs.workflows.given import as_json, check_key, read, refuse_unknown, seconds_of
from jobs.workflows.locking import lock_workflow
from jobs.workflows.queries import get_workflow
from jobs.workflows.registry import get_definition
from jobs.workflows.state import state_of

#: Tries to insert a key whose holder ends each time between the insert and the look at it.
KEY_TRIES = 5


def start_workflow(
    name: str,
    state: BaseModel | Mapping[str, Any],
    *,
    tenant_id: uuid.UUID,
    user_id: uuid.UUID | None = None,
    key: str | None = None,
    deadline: timedelta | None = None,
) -> Workflow:
    """
    Start a workflow in the caller's transaction: rolled back, it never was.

    `deadline` from now, rounded up to seconds; its definition's unless given.

    :raises UnknownDefinition: listing the names there are.
    :raises ArgumentRefused: if the key is too long, or the deadline not ahead.
    :raises StateRefused: if the state doesn't fit the definition's, or can't be stored.
    :raises WorkflowKeyInUse: if a live one of this tenant and name has the key.
    """
    definition = get_definition(name)
    check_key(key)
    begun = as_json(read(definition.state, state))
    workflow = Workflow(
        name=name,
        version=definition.version,
        tenant_id=tenant_id,
        user_id=user_id,
        key=key,
        deadline_seconds=seconds_of(deadline),
        step_count=len(definition.steps),
        initial_state=begun,
        state=begun,
    )
    with transaction.atomic():
        _insert(workflow)
        _begin(workflow, 1)
    log_events.started(workflow)
    return workflow


def send_step(
    *,
    workflow_id: uuid.UUID,
    number: int,
    data: Mapping[str, Any],
    tenant_id: uuid.UUID,
    strict: bool = False,
) -> WorkflowStep:
    """
    Do a synchronous step with this data, under the workflow's lock; sent again: what it returned.

    `strict` refuses what is no field of its input: for data from outside.

    Of fifty requests at once one does it, and the others wait for its commit and find it done.

    :raises UnknownWorkflow: if there is none, or it belongs to another tenant.
    :raises UnknownStep: if it has no such step.
    :raises StepOfWorkers: if workers do it.
    :raises WorkflowEnded: if it ended before this step was done.
    :raises StepOutOfOrder: if another step is to be done first.
    :raises StateRefused: if the data doesn't fit the step's input, or can't be stored.
    :raises StepRefused: if the step itself says no, by `GiveUp`, or its result can't be stored.
        In these cases nothing is done.
    """
    with transaction.atomic():
        workflow = lock_workflow(workflow_id, tenant_id=tenant_id)
        definition = get_definition(workflow.name)
        step = definition.definition_of(number)
        if step is None:
            raise UnknownStep(number, len(definition.steps))
        if step.kind != Kind.SYNCHRONOUS:
            raise StepOfWorkers(number, workflow.pk)
        row = workflow.steps.filter(number=number).first()
        if row and row.status == StepStatus.DONE:
            return row
        if not workflow.is_live:
            raise WorkflowEnded(workflow.pk, workflow.status)
        if row is None or workflow.step_number != number:
            raise StepOutOfOrder(number, workflow.step_number)
        if strict:
            refuse_unknown(step.input, data)
        _do(step, workflow, row, data)
        row.refresh_from_db()
        return row


def cancel_workflow(
    *, workflow_id: uuid.UUID, by: str, tenant_id: uuid.UUID | None = None
) -> Workflow:
    """
    Cancel a live workflow at once; what runs for it learns that at its next sign of progress.

    A step that is done first has been done; what would follow it is not begun.

    :raises UnknownWorkflow: if there is none, or it belongs to another tenant.
    :raises WorkflowEnded: if it has a final status.
    """
    with transaction.atomic():
        workflow = lock_workflow(workflow_id, tenant_id=tenant_id)
        if not workflow.is_live:
            raise WorkflowEnded(workflow.pk, workflow.status)
        advancing.end(workflow, WorkflowStatus.CANCELLED, error=f"Cancelled by {by}.")
    return workflow


def restart_workflow(
    *,
    workflow_id: uuid.UUID,
    by: str,
    from_step: int | None = None,
    tenant_id: uuid.UUID | None = None,
) -> Workflow:
    """
    Go on, as a new workflow, from the step at which one ended, or an earlier one.

    The results of the steps before it are kept; of the step at which it ended, those of the
    branches that are done. Nothing leaves a final status: the old one stays. The deadline is as
    long as the one that it was started with. It may block for as long as the definition's
    `keeps` does, which asks before anything is locked.

    :raises UnknownWorkflow: if there is none, or it belongs to another tenant.
    :raises NotRestartable: if it is live or completed, was restarted before, or has no such step.
    :raises WorkflowKeyInUse: if a live one has taken its key.
    :raises RestartNotNow: if it can't be found out now what is kept.
    """
    seen = get_workflow(workflow_id, tenant_id=tenant_id)
    number = restarting.first_step(seen, from_step)
    kept = restarting.choose_kept(seen, number)
    with transaction.atomic():
        old = lock_workflow(workflow_id, tenant_id=tenant_id)
        # Losing the race means that another restart came meanwhile: this one is refused.
        number = restarting.first_step(old, from_step)
        new = restarting.successor_of(old, number)
        _insert(new)
        restarting.keep_results(old, new, number, kept)
        get_definition(old.name).on_restarted(old, new)
        restarting.close_dead_letters(old, by)
        _begin(new, number)
    log_events.restarted(old, new, by)
    return new


def set_timer(
    *,
    workflow_id: uuid.UUID,
    name: str,
    due_at: datetime,
    by: str = "",
    tenant_id: uuid.UUID | None = None,
) -> None:
    """
    Set or move a timer of a live workflow, its deadline ("timeout") too.

    With `by` it is told in the workflow's history, with what was set before.

    :raises UnknownWorkflow: if there is none, or it belongs to another tenant.
    :raises WorkflowEnded: if it has a final status.
    :raises UnknownTimer: if its definition says nothing of such a timer.
    """
    with transaction.atomic():
        workflow = lock_workflow(workflow_id, tenant_id=tenant_id)
        if not workflow.is_live:
            raise WorkflowEnded(workflow.pk, workflow.status)
        if by:
            advancing.note(workflow, timers.words_of_move(workflow, name, due_at, by))
        timers.set_timer(workflow, name, due_at)


def cancel_timer(*, workflow_id: uuid.UUID, name: str, tenant_id: uuid.UUID | None = None) -> None:
    """
    Cancel a timer of a live workflow; what was enqueued for it is nothing then.

    :raises UnknownWorkflow: if there is none, or it belongs to another tenant.
    :raises WorkflowEnded: if it has a final status.
    :raises UnknownTimer: if it is not set.
    :raises DeadlineKept: if it is the deadline, which can be moved.
    """
    with transaction.atomic():
        workflow = lock_workflow(workflow_id, tenant_id=tenant_id)
        if not workflow.is_live:
            raise WorkflowEnded(workflow.pk, workflow.status)
        if not timers.cancel_timer(workflow, name):
            raise UnknownTimer(name)


def _insert(workflow: Workflow) -> None:
    """Insert in a savepoint: a key in use must not spoil the caller's transaction."""
    for tries_left in reversed(range(KEY_TRIES)):
        try:
            with transaction.atomic():
                workflow.save(force_insert=True)
            return
        except IntegrityError:
            holder = _holder_of_key(workflow)
            if holder:
                raise WorkflowKeyInUse(holder.pk, str(workflow.key)) from None
            if not tries_left:
                raise  # Another constraint. Else: the holder ended this instant.


def _holder_of_key(workflow: Workflow) -> Workflow | None:
    same = {"tenant_id": workflow.tenant_id, "name": workflow.name, "key": workflow.key}
    return Workflow.objects.filter(status=WorkflowStatus.PROCESSING, **same).first()


def _begin(workflow: Workflow, number: int) -> None:
    workflow.step_number = number
    timers.set_timer(workflow, timers.TIMEOUT, Now() + timers.time_of(workflow))
    advancing.note(workflow, "started")
    advancing.begin_step(workflow, number)


def _do(
    step: StepDefinition, workflow: Workflow, row: WorkflowStep, data: Mapping[str, Any]
) -> None:
    given = read(step.input, data)
    run = StepRun(
        workflow=workflow,
        number=step.number,
        branch=0,
        attempt=1,
        state=state_of(workflow),
        input=given,
        job=None,
    )
    WorkflowStep.objects.filter(pk=row.pk).update(
        input=as_json(given), attempts=1, started_at=Now()
    )
    try:
        advancing.record_step(row, workflow, step.function(run), run.state)
    except GiveUp as refusal:
        raise StepRefused(str(refusal)) from refusal

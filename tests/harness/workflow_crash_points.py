"""
The crash points of workflows: each of them dies at the point that its own state names, once.

So one worker has them all armed, and kills a child only for those that are to meet it there.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.http import JsonResponse

from jobs.engine.delivery import Delivery
from jobs.models import Job, Workflow, WorkflowStep
from jobs.workflows import advancing, firing, operations, working
from jobs.workflows import api as workflow_api
from jobs.workflows.payloads import StepPayload
from jobs.workflows.timers import FIRE
from tests.harness.workflows import BRANCHES, NAME


@dataclass(frozen=True)
class Call:
    """A call of a function at which a process may die, before it or after."""

    arguments: tuple[Any, ...]
    result: Any = None


@dataclass(frozen=True)
class WorkflowPoint:
    owner: Any
    function: str
    #: Returns the workflow whose call this is; None: not one that is meant.
    whose: Callable[[Call], UUID | None]
    before: bool = field(default=False, kw_only=True)


def at_step(
    number: int, when: Callable[[UUID], bool] = lambda _: True
) -> Callable[[Call], UUID | None]:
    """Choose the calls that are about the step of this number."""

    def whose(call: Call) -> UUID | None:
        of_number = (each for each in _steps_in(call) if each.number == number)
        step = next(of_number, None)
        return step.workflow_id if step and when(step.workflow_id) else None

    return whose


def at_job(job_type: str) -> Callable[[Call], UUID | None]:
    """Choose the deliveries of a workflow's jobs of this type."""

    def whose(call: Call) -> UUID | None:
        ours = [job for job in _jobs_in(call) if job.type == job_type]
        return UUID(ours[0].payload["workflow_id"]) if ours else None

    return whose


def at_workflow(call: Call) -> UUID | None:
    """Choose the calls that get or return a workflow, or answer its id."""
    for each in (*call.arguments, call.result):
        if isinstance(each, Workflow):
            return each.pk
        if isinstance(each, JsonResponse):
            return UUID(json.loads(each.content)["workflow_id"])
    return None


def between_branches(workflow_id: UUID) -> bool:
    """Tell whether one branch is done, and the next is about to be; the caller holds the lock."""
    done = WorkflowStep.objects.filter(workflow=workflow_id, number=3, status="done")
    return 0 < done.count() < BRANCHES


def joined(workflow_id: UUID) -> bool:
    return Workflow.objects.filter(pk=workflow_id, step_number=4).exists()


def label_of_doomed(workflow_id: UUID, point: str) -> str:
    """Return the label of a workflow that is to die at this point; "" if it isn't."""
    doomed = Workflow.objects.filter(pk=workflow_id, name=NAME, initial_state__crash_at=point)
    state = doomed.values_list("initial_state", flat=True).first()
    return str(state["label"]) if state else ""


def _steps_in(call: Call) -> Iterator[WorkflowStep | StepPayload]:
    for each in (*call.arguments, call.result):
        if isinstance(each, WorkflowStep | StepPayload):
            yield each
    for job in _jobs_in(call):
        if "number" in job.payload:
            yield StepPayload.model_validate(job.payload)


def _jobs_in(call: Call) -> Iterator[Job]:
    for each in call.arguments:
        if isinstance(each, Job):
            yield each
        elif isinstance(each, Delivery):
            yield each.job


#: In a worker's child, for workflows that are to be completed.
IN_STEPS = {
    "step.before_transaction": WorkflowPoint(Delivery, "work", at_step(1), before=True),
    "step.before_record": WorkflowPoint(advancing, "record_step", at_step(1), before=True),
    "step.before_commit": WorkflowPoint(advancing, "record_step", at_step(1)),
    "step.after_commit": WorkflowPoint(Delivery, "attempt", at_step(1)),
    "long.before_work": WorkflowPoint(working, "_run_of", at_step(2), before=True),
    "long.after_work": WorkflowPoint(Job, "succeeding", at_step(2), before=True),
    "long.before_commit": WorkflowPoint(advancing, "record_step", at_step(2)),
    "long.after_commit": WorkflowPoint(Delivery, "attempt", at_step(2)),
    "branch.before_record": WorkflowPoint(
        advancing, "record_step", at_step(3, between_branches), before=True
    ),
    "join.before_commit": WorkflowPoint(advancing, "record_step", at_step(3, joined)),
    "join.after_commit": WorkflowPoint(Delivery, "attempt", at_step(3, joined)),
    "last.before_commit": WorkflowPoint(advancing, "record_step", at_step(5)),
    "last.after_commit": WorkflowPoint(Delivery, "attempt", at_step(5)),
}

#: In a worker's child, for workflows whose deadline comes.
IN_TIMEOUTS = {
    "timer.before_transaction": WorkflowPoint(Delivery, "work", at_job(FIRE), before=True),
    "timer.after_handler": WorkflowPoint(firing, "_time_out", at_workflow, before=True),
    "timer.before_commit": WorkflowPoint(firing, "_time_out", at_workflow),
    "timer.after_commit": WorkflowPoint(Delivery, "attempt", at_job(FIRE)),
    "stop.before_work": WorkflowPoint(Delivery, "work", at_job(advancing.STOP), before=True),
    "stop.after_work": WorkflowPoint(Delivery, "attempt", at_job(advancing.STOP)),
}

#: In a web process, at a request of a client that sends it again.
IN_REQUESTS = {
    "web.before_start_commit": WorkflowPoint(operations, "start_workflow", at_workflow),
    "web.after_start": WorkflowPoint(workflow_api, "answer_once", at_workflow),
    "web.before_step_commit": WorkflowPoint(advancing, "record_step", at_step(4)),
    "web.after_step": WorkflowPoint(operations, "send_step", at_step(4)),
}

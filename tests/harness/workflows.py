"""
A workflow of five steps that only tests start; `JOBS_EXTRA_TASK_MODULES` loads it into processes.

An atomic or synchronous step leaves one effect in the transaction that records it; a long one
leaves an effect for each attempt, before its work.
"""

import time
import uuid
from typing import Any

from django.db import connection
from pydantic import BaseModel

from jobs.models import Workflow
from jobs.states import WorkflowStatus
from jobs.workflows import StepRun, TimerRun, WorkflowDefinition
from tests.harness.tasks import add_row

NAME = "tests.five_steps"
SYNCHRONOUS = 4  #: The number of the step that a client sends.
BRANCHES = 3


class FiveState(BaseModel):
    label: str
    crash_at: str = ""  #: The crash point at which a process of this workflow's dies, once.
    seconds: float = 0  #: How long the long step takes.
    until_cancelled: bool = False  #: The long step ends right after the workflow's cancel.
    applied: list[str] = []  #: What atomic and synchronous steps have noted, in order.


class Confirmation(BaseModel):
    by: str


five_steps = WorkflowDefinition(NAME, state=FiveState, over_http=True)


@five_steps.step("tests.begin_five")
def begin_five(run: StepRun[FiveState]) -> dict[str, Any]:
    _apply(run, "begin")
    return {"begun": run.state.label}


@five_steps.long_step("tests.think_of_five")
def think_of_five(run: StepRun[FiveState]) -> dict[str, Any]:
    _leave_attempt(run, "think")
    if run.state.until_cancelled:
        wait_until_cancelled(run.workflow.pk)
    time.sleep(run.state.seconds)
    return {"thought": run.state.label}


@five_steps.parallel_step("tests.split_five", branches=lambda run: list(range(BRANCHES)))
def split_five(run: StepRun[FiveState]) -> dict[str, Any]:
    _leave_attempt(run, f"split {run.branch}")
    return {"square": run.input**2}


@five_steps.synchronous_step("tests.confirm_five", input=Confirmation)
def confirm_five(run: StepRun[FiveState]) -> dict[str, Any]:
    _apply(run, "confirm")
    return {"squares": [each["square"] for each in run.outputs_of(3)], "by": run.input.by}


@five_steps.step("tests.finish_five")
def finish_five(run: StepRun[FiveState]) -> dict[str, Any]:
    _apply(run, "finish")
    return {"applied": run.state.applied}


@five_steps.timer("timeout")
def tell_of_timeout(run: TimerRun[FiveState]) -> None:
    _add_effect(run.state.label, "timeout")


def wait_until_cancelled(workflow_id: uuid.UUID) -> None:
    cancelled = Workflow.objects.filter(pk=workflow_id, status=WorkflowStatus.CANCELLED)
    while not cancelled.exists():
        time.sleep(0.02)


def _apply(run: StepRun[FiveState], what: str) -> None:
    run.state.applied.append(what)
    _add_effect(run.state.label, what)


def _leave_attempt(run: StepRun[FiveState], what: str) -> None:
    assert run.job
    with run.job.fence():
        add_row(run.job, f"{run.state.label}: {what}")


def _add_effect(label: str, what: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO test_effects (label) VALUES (%s)", [f"{label}: {what}"])

"""Writes how far a long step is."""

from typing import Any

from jobs.models import WorkflowStep
from jobs.workflows.definition import StepRun


def show(run: StepRun[Any], done: int, total: int) -> None:
    """
    Write it in a short fenced transaction; without the workflow's lock, for only this step's
    one living attempt writes these columns.

    :raises MoveRefused: if its job was cancelled or given to another attempt.
    """
    if run.job is None:
        return
    with run.job.fence():
        row = WorkflowStep.objects.filter(
            workflow=run.workflow, number=run.number, branch=run.branch
        )
        row.update(progress_done=done, progress_total=max(done, total))

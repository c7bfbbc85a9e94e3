"""Cancels the jobs of a workflow that has ended."""

import uuid
from collections.abc import Iterator

from django.db import transaction

from jobs.errors import MoveRefused
from jobs.models import Job, WorkflowStep

#: Jobs that are cancelled in one transaction: a commit for each would take minutes for thousands.
BATCH_JOBS = 100


def stop_steps(workflow_id: uuid.UUID) -> int:
    """
    Cancel the jobs of a workflow that has ended; return how many.

    Each by a move of its own, whose hook tells its feature: no one statement for all would.
    """
    ids = WorkflowStep.objects.filter(workflow=workflow_id).exclude(job_id=None)
    live = Job.objects.live().filter(pk__in=ids.values("job_id")).order_by("pk")
    return sum(_cancel(batch) for batch in _batches(list(live.values_list("pk", flat=True))))


def _batches(ids: list[uuid.UUID]) -> Iterator[list[uuid.UUID]]:
    for start in range(0, len(ids), BATCH_JOBS):
        yield ids[start : start + BATCH_JOBS]


def _cancel(ids: list[uuid.UUID]) -> int:
    """
    Cancel a batch in one transaction.

    All its jobs are locked before anything else is, in the order of their keys: so two of these
    can't deadlock, nor can a worker, which has one job's lock when it waits for the workflow's.
    That lock is not taken here: the hook of a step sees that its workflow has ended, and is done.
    """
    from jobs.engine import lifecycle  # The layers below allow it; at the top it would be a cycle.

    stopped = 0
    with transaction.atomic():
        locked = Job.objects.live().filter(pk__in=ids).order_by("pk")
        for job in locked.select_for_update(of=("self",), no_key=True):
            try:
                lifecycle.cancel(job, by="its workflow, which has ended")
            except MoveRefused:
                continue  # It moved: it ends by itself when it looks at its workflow.
            stopped += 1
    return stopped

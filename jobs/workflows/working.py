"""Does the steps that workers do: each is a job type of its own, with the engine's retries."""

from typing import Any

from django.db.models import F, Value
from django.db.models.functions import Greatest, Now

from jobs.errors import GiveUp, NotReplayable, NotWanted
from jobs.models import Job, Workflow, WorkflowStep
from jobs.states import JobState, StepStatus, WorkflowStatus
from jobs.task import job_task
from jobs.workflows import advancing
from jobs.workflows.definition import Kind, StepDefinition, StepRun, WorkflowDefinition
from jobs.workflows.errors import UnknownWorkflow
from jobs.workflows.locking import lock_workflow
from jobs.workflows.payloads import StepPayload
from jobs.workflows.registry import get_definition
from jobs.workflows.state import state_of

OVER = "its workflow, which has ended"


def declare_job(
    definition: WorkflowDefinition[Any], step: StepDefinition, *, queue: str, **options: Any
) -> None:
    """Declare the job type of a step, with the engine's waits between attempts."""
    work = _work_atomically if step.kind == Kind.ATOMIC else _work_long

    def run_step(job: Job, payload: StepPayload) -> None:
        work(job, payload)

    # Its own place in the code: two types of one function would look like one declared twice.
    for name in ("__module__", "__qualname__", "__doc__"):
        setattr(run_step, name, getattr(step.function, name))
    job_task(
        name=step.name,
        queue=queue,
        atomic=step.kind == Kind.ATOMIC,
        on_settled=_note_end,
        on_replayed=_refuse_replay,
        **options,
    )(run_step)


def _work_atomically(job: Job, payload: StepPayload) -> None:
    """In the job's one transaction: its row is locked first, then the workflow's."""
    with job.fence():
        workflow, row = _take(job, payload)
        run = _run_of(workflow, row, job, holds_lock=True)
        output = _step_of(workflow, payload).function(run)
        advancing.record_step(row, workflow, output, run.state)


def _work_long(job: Job, payload: StepPayload) -> None:
    """Two short transactions, one before and one after the work; the second settles the job."""
    with job.fence():
        workflow, row = _take(job, payload)
    run = _run_of(workflow, row, job, holds_lock=False)
    output = _step_of(workflow, payload).function(run)
    with job.succeeding():
        workflow, row = _look(job, payload)
        advancing.record_step(row, workflow, output, state_of(workflow))


def _take(job: Job, payload: StepPayload) -> tuple[Workflow, WorkflowStep]:
    """Note that an attempt begins; its number is the job's: a rollback takes a count of ours."""
    workflow, row = _look(job, payload)
    changes = {"status": StepStatus.RUNNING, "attempts": job.attempt, "started_at": Now()}
    WorkflowStep.objects.filter(pk=row.pk).update(**changes)
    row.refresh_from_db(fields=["attempts", "status"])
    return workflow, row


def _look(job: Job, payload: StepPayload) -> tuple[Workflow, WorkflowStep]:
    """
    Lock the workflow, and return it with the step.

    :raises NotWanted: if it has ended, is gone, or the step is done or another job's.
    """
    try:
        workflow = lock_workflow(payload.workflow_id)
    except UnknownWorkflow:
        raise NotWanted("its workflow, which was deleted") from None
    rows = workflow.steps.filter(number=payload.number, branch=payload.branch, job_id=job.pk)
    row = rows.first()
    if not workflow.is_live or row is None or row.status == StepStatus.DONE:
        raise NotWanted(OVER)
    return workflow, row


def _step_of(workflow: Workflow, payload: StepPayload) -> StepDefinition:
    step = get_definition(workflow.name).definition_of(payload.number)
    if step is None:
        raise GiveUp(f"{workflow.name} has no step {payload.number} in this release.")
    return step


def _run_of(workflow: Workflow, row: WorkflowStep, job: Job, *, holds_lock: bool) -> StepRun[Any]:
    return StepRun(
        workflow=workflow,
        number=row.number,
        branch=row.branch,
        attempt=row.attempts,
        state=state_of(workflow),
        input=row.input,
        job=job,
        holds_lock=holds_lock,
    )


# --- What the engine calls, inside the transaction that moves the job ---------------------------


def _note_end(job: Job) -> None:
    """A step whose last attempt failed, or whose job was cancelled by hand, ends its workflow."""
    if job.state == JobState.SUCCEEDED:
        return
    payload = StepPayload.model_validate(job.payload)
    live = Workflow.objects.filter(pk=payload.workflow_id, status=WorkflowStatus.PROCESSING)
    if not live.exists():
        return  # Ended or gone, and so it stays: who stops its jobs needs no lock for each.
    try:
        workflow = lock_workflow(payload.workflow_id)
    except UnknownWorkflow:
        return
    row = workflow.steps.filter(number=payload.number, branch=payload.branch, job_id=job.pk).first()
    if row is None or not workflow.is_live or row.status == StepStatus.DONE:
        return
    failed = job.state == JobState.FAILED
    WorkflowStep.objects.filter(pk=row.pk).update(
        status=StepStatus.FAILED if failed else StepStatus.CANCELLED,
        error=job.error,
        attempts=Greatest(F("attempts"), Value(job.attempts)),  # A rollback took an atomic one's.
        ended_at=Now(),
    )
    status = WorkflowStatus.FAILED if failed else WorkflowStatus.CANCELLED
    advancing.end(workflow, status, error=f"Step {row.number}, {row.name}: {job.error}")


def _refuse_replay(old: Job, new: Job) -> None:
    """:raises NotReplayable: always: a step alone would run for a workflow that has ended."""
    workflow_id = old.payload.get("workflow_id")
    raise NotReplayable(f"Restart workflow {workflow_id} from this step instead of its job.")

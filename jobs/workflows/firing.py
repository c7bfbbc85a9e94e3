"""Does what a timer is for, once: in the transaction that removes it."""

from hashlib import sha256

from django.utils import timezone

from jobs.alerts.operations import raise_alert
from jobs.announcements import announce
from jobs.errors import NotWanted
from jobs.models import Job, Workflow, WorkflowTimer
from jobs.states import AlertKind, JobState, WorkflowStatus
from jobs.workflows import advancing, log_events
from jobs.workflows.definition import TimerRun
from jobs.workflows.errors import UnknownWorkflow
from jobs.workflows.locking import lock_workflow
from jobs.workflows.payloads import TimerPayload
from jobs.workflows.registry import find_definition, get_definition
from jobs.workflows.state import state_of, storable_state
from jobs.workflows.timers import TIMEOUT


def fire(job: Job, payload: TimerPayload) -> None:
    """
    Fire a timer in the job's one transaction: its row is locked first, then the workflow's.

    :raises NotWanted: if it was set anew or cancelled, or its workflow has ended: it is nothing.
    :raises StateOutgrown: if its function can't be given the state: `note_end` ends the workflow.
    """
    with job.fence():
        workflow = _locked(payload)
        # Gone before its function runs, which may set it anew.
        _timer(workflow, payload).delete()
        definition = get_definition(workflow.name)
        function = definition.timers.get(payload.name)
        if function:
            state = state_of(workflow)
            function(TimerRun(workflow=workflow, name=payload.name, state=state))
            workflow.state = storable_state(workflow, state)
            workflow.save(update_fields=["state"])
        log_events.timer_fired(workflow, payload.name)
        if payload.name == TIMEOUT:
            _time_out(workflow)


def note_end(job: Job) -> None:
    """
    End a workflow whose timer could not be fired: it must not wait for ever.

    Called by the engine in the transaction that settles the job. Who cancels the job by hand
    cancels the timer; only the deadline stands, for it has come.
    """
    if job.state == JobState.SUCCEEDED:
        return
    payload = TimerPayload.model_validate(job.payload)
    try:
        workflow = _locked(payload)
        timer = _timer(workflow, payload)
    except NotWanted:
        return
    if job.state == JobState.CANCELLED and payload.name != TIMEOUT:
        timer.delete()
        return
    error = f"Timer {payload.name}: {job.error}"
    if payload.name == TIMEOUT:
        _time_out(workflow, error=error)
    else:
        advancing.end(workflow, WorkflowStatus.FAILED, error=error)


def _locked(payload: TimerPayload) -> Workflow:
    try:
        workflow = lock_workflow(payload.workflow_id)
    except UnknownWorkflow:
        raise NotWanted("its workflow, which was deleted") from None
    if not workflow.is_live:
        raise NotWanted("its workflow, which has ended")
    return workflow


def _timer(workflow: Workflow, payload: TimerPayload) -> WorkflowTimer:
    timers = workflow.timers.filter(pk=payload.timer_id, setting=payload.setting)
    timer = timers.first()
    if timer is None:
        raise NotWanted("its timer, which was set anew or cancelled")
    return timer


def _time_out(workflow: Workflow, *, error: str = "") -> None:
    """Mark the workflow, alert the operator, and tell whoever asked for it."""
    at = f"Step {workflow.step_number} was not done in time."
    advancing.end(workflow, WorkflowStatus.TIMEOUT, error=f"{at} {error}".strip())
    definition = find_definition(workflow.name)
    about = {
        "workflow_id": str(workflow.pk),
        "name": workflow.name,
        "step_number": workflow.step_number,
        "timed_out_at": timezone.now().isoformat(),
    }
    raise_alert(
        AlertKind.WORKFLOW_TIMEOUT,
        fingerprint=_fingerprint(workflow.name),
        message=f"Workflow {workflow.name} timed out at step {workflow.step_number}",
        data={"type": "workflow_timeout", "tenant_id": str(workflow.tenant_id), **about},
    )
    announce(
        "workflow.timed_out",
        tenant_id=workflow.tenant_id,
        user_id=None if definition and definition.tells_of_failure else workflow.user_id,
        data=about,
    )


def _fingerprint(name: str) -> str:
    """Names are longer than the column that incidents are found by."""
    return f"workflow_timeout:{sha256(name.encode()).hexdigest()[:40]}"

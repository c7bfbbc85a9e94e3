"""
What a restarted workflow takes over from the one that it goes on with.

Every function here expects the caller to hold the old workflow's lock, in a transaction.
"""

from django.db.models.functions import Now

from jobs.models import DeadLetter, Workflow, WorkflowStep
from jobs.states import DeadLetterState, StepStatus, WorkflowStatus
from jobs.workflows.errors import NotRestartable
from jobs.workflows.registry import get_definition


def check_restart(old: Workflow, number: int) -> None:
    """:raises NotRestartable: if it is live or completed, was restarted, or has no such step."""
    if old.status in (WorkflowStatus.PROCESSING, WorkflowStatus.COMPLETED):
        raise NotRestartable(f"Workflow {old.pk} is {old.status}; it can't be restarted.")
    if Workflow.objects.filter(restart_of=old).exists():
        raise NotRestartable(f"Workflow {old.pk} was restarted already; restart the newest.")
    last = min(old.step_number, len(get_definition(old.name).steps))
    if not 1 <= number <= last:
        raise NotRestartable(f"Workflow {old.pk} can go on from steps 1 to {last}.")


def successor_of(old: Workflow, number: int) -> Workflow:
    """Return the new workflow, not stored yet, with the state as of the step it begins with."""
    definition = get_definition(old.name)
    before = old.steps.filter(number__lt=number, status=StepStatus.DONE)
    last = before.order_by("-number", "-ended_at").first()
    return Workflow(
        name=old.name,
        version=definition.version,
        tenant_id=old.tenant_id,
        user_id=old.user_id,
        key=old.key,
        step_count=len(definition.steps),
        initial_state=old.initial_state,
        state=last.state if last else old.initial_state,
        restart_of=old,
        percent=int(100 * (number - 1) / old.step_count),
    )


def keep_results(old: Workflow, new: Workflow, number: int) -> None:
    """Of the step it begins with, the branches that are done are kept if the step is theirs."""
    definition = get_definition(old.name)
    done = old.steps.filter(status=StepStatus.DONE)
    kept = list(done.filter(number__lt=number))
    if number == min(old.step_number, definition.last_restart or old.step_number):
        kept += [row for row in done.filter(number=number) if definition.keeps(row)]
    for row in kept:
        row.pk, row.workflow, row._state.adding = None, new, True
    WorkflowStep.objects.bulk_create(kept)


def close_dead_letters(old: Workflow, by: str) -> None:
    """Those of its steps wait for nobody any more. One that is stored only now stays open."""
    jobs = old.steps.exclude(job_id=None).values("job_id")
    letters = DeadLetter.objects.filter(job__in=jobs, state=DeadLetterState.OPEN)
    letters.update(state=DeadLetterState.REPLAYED, handled_by=by[:200], handled_at=Now())

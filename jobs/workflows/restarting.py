"""
What a restarted workflow takes over from the one that it goes on with.

`choose_kept` may ask an object store, and holds no lock; the others expect their caller to hold the
old workflow's, in a transaction.
"""

from collections.abc import Collection

from django.db.models import Q
from django.db.models.functions import Now

from jobs.models import DeadLetter, Workflow, WorkflowStep
from jobs.states import DeadLetterState, StepStatus, WorkflowStatus
from jobs.workflows import log_events
from jobs.workflows.errors import NotRestartable, RestartNotNow
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


def first_step(old: Workflow, wanted: int | None) -> int:
    """
    Return the step that a restart begins with: the wanted one, or the one at which it ended.

    :raises NotRestartable: as `check_restart` does.
    """
    number = old.step_number if wanted is None else wanted
    check_restart(old, number)
    return get_definition(old.name).restart_at(number)


def choose_kept(old: Workflow, number: int) -> Collection[int]:
    """
    Return which branches of the step that a restart begins with need not be done again.

    Without the lock, for a definition may ask a store that is slow: nothing of a workflow that
    has ended changes, so what is chosen is as good under the lock. What is lost in the store
    meanwhile is found by the step that reads it.

    :raises RestartNotNow: if that can't be found out now.
    """
    definition = get_definition(old.name)
    if number != definition.restart_at(old.step_number):
        return ()
    rows = list(old.steps.filter(number=number, status=StepStatus.DONE).order_by("branch"))
    try:
        return definition.keeps(rows) if rows else ()
    except RestartNotNow as error:
        log_events.not_restarted(old, error)
        raise


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
        deadline_seconds=old.deadline_seconds,
        step_count=len(definition.steps),
        initial_state=old.initial_state,
        state=last.state if last else old.initial_state,
        restart_of=old,
    )


def keep_results(old: Workflow, new: Workflow, number: int, branches: Collection[int]) -> None:
    """Keep the steps before this one, and of this one the branches that `choose_kept` returned."""
    done = old.steps.filter(status=StepStatus.DONE)
    ours = Q(number__lt=number) | Q(number=number, branch__in=branches)
    kept = list(done.filter(ours))
    for row in kept:
        row.pk, row.workflow, row._state.adding = None, new, True
    WorkflowStep.objects.bulk_create(kept)


def close_dead_letters(old: Workflow, by: str) -> None:
    """Those of its steps wait for nobody any more. One that is stored only now stays open."""
    jobs = old.steps.exclude(job_id=None).values("job_id")
    letters = DeadLetter.objects.filter(job__in=jobs, state=DeadLetterState.OPEN)
    letters.update(state=DeadLetterState.REPLAYED, handled_by=by[:200], handled_at=Now())

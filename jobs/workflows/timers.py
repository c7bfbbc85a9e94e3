"""
The timers of workflows: kept in the database, never as a broker's message.

One per name and workflow. Setting it anew takes the earlier setting's place; it is gone once what
it does is committed. Functions that write expect the caller to hold the workflow's lock.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils.timezone import is_naive

from jobs.models import Workflow, WorkflowTimer
from jobs.operations import enqueue
from jobs.workflows.definition import StepRun, actor_of
from jobs.workflows.errors import ArgumentRefused, DeadlineKept, UnknownTimer
from jobs.workflows.payloads import TimerPayload
from jobs.workflows.registry import get_definition

FIRE = "workflows.fire_timer"

#: The timer that ends a workflow.
TIMEOUT = "timeout"

#: How many are enqueued in one transaction.
BATCH_TIMERS = 500


def set_timer(workflow: Workflow, name: str, due_at: Any) -> None:
    """
    Set a timer, or move it: what was enqueued for its earlier setting is nothing then.

    :raises UnknownTimer: if the definition doesn't say what it does: it would come to nothing.
    :raises ArgumentRefused: if the time has no zone.
    """
    if name != TIMEOUT and name not in (known := get_definition(workflow.name).timers):
        raise UnknownTimer(name, {*known, TIMEOUT})
    if isinstance(due_at, datetime) and is_naive(due_at):
        raise ArgumentRefused(f"due_at: {due_at} has no time zone; use an aware datetime.")
    timers = WorkflowTimer.objects.filter(workflow=workflow, name=name)
    if not timers.update(due_at=due_at, setting=F("setting") + 1, enqueued_at=None):
        WorkflowTimer.objects.create(workflow=workflow, name=name, due_at=due_at)


def check_lock(run: StepRun[Any]) -> None:
    """:raises ArgumentRefused: if the step would write timers without lock and without fence."""
    if not run.holds_lock:
        raise ArgumentRefused(
            f"Step {run.number} is a long or parallel one: let the step before or after it set and "
            "cancel timers, or do so by jobs.workflows.operations."
        )


def words_of_move(workflow: Workflow, name: str, due_at: datetime, by: str) -> str:
    """Return the history's line of a timer that somebody is about to set."""
    before = WorkflowTimer.objects.filter(workflow=workflow, name=name).first()
    what = "deadline" if name == TIMEOUT else f"timer {name}"
    moved = f"moved from {_in_utc(before.due_at)}" if before else "set"
    return f"{what} {moved} to {_in_utc(due_at)} by {by}"


def cancel_timer(workflow: Workflow, name: str) -> bool:
    """
    Cancel a timer; False: there was none.

    :raises DeadlineKept: if it is the deadline.
    """
    if name == TIMEOUT:
        raise DeadlineKept
    return bool(WorkflowTimer.objects.filter(workflow=workflow, name=name).delete()[0])


def due_timers() -> Any:
    """Return the timers that are due and have no job yet: an index has these alone."""
    due = WorkflowTimer.objects.filter(enqueued_at__isnull=True, due_at__lte=Now())
    return due.order_by("due_at")


def enqueue_due_timers() -> int:
    """
    Enqueue a job for each timer that is due; return how many. Any number may look at once.

    In the transaction that notes it: both, or neither. A timer that somebody else has locked is
    being enqueued, set anew or cancelled: its own business.
    """
    with transaction.atomic():
        rows = due_timers().select_for_update(skip_locked=True, of=("self",))
        timers = list(rows.select_related("workflow")[:BATCH_TIMERS])
        for timer in timers:
            payload = TimerPayload(
                workflow_id=timer.workflow_id,
                name=timer.name,
                timer_id=timer.pk,
                setting=timer.setting,
            )
            enqueue(FIRE, payload, **actor_of(timer.workflow))
        WorkflowTimer.objects.filter(pk__in=[timer.pk for timer in timers]).update(
            enqueued_at=Now()
        )
    return len(timers)


def time_of(workflow: Workflow) -> timedelta:
    """Return how long a workflow that begins now may take: as its start said, or its definition."""
    if workflow.deadline_seconds is None:
        return get_definition(workflow.name).deadline
    return timedelta(seconds=workflow.deadline_seconds)


def deadline_of(workflow: Workflow) -> datetime | None:
    """Return when a live workflow will time out."""
    timer = WorkflowTimer.objects.filter(workflow=workflow, name=TIMEOUT).first()
    return timer.due_at if timer else None


def _in_utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"

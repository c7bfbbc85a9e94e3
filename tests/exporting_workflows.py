"""Exports in parts in one process: what a test does in the middle of one, and what it then sees."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from exports import workflows
from exports.object_store import ObjectStore
from jobs.models import Job, Workflow, WorkflowStep
from jobs.states import JobState

ANNOUNCE = "notifications.announce_event"

#: The function that does the work of each step, by the step's name.
WORK = {
    "plan": "cut",
    "write": "write_part",
    "assemble": "assemble",
    "describe": "write_manifest",
}


def after(patch: pytest.MonkeyPatch, step: str, act: Callable[[], Any], *, time: int = 1) -> None:
    """Do something once, when the work of a step has been done for this time."""
    name = WORK[step]
    real: Callable[..., Any] = getattr(workflows, name)
    done = Counter[str]()

    def work_and_act(*args: Any, **options: Any) -> Any:
        result = real(*args, **options)
        done[name] += 1
        if done[name] == time:
            act()
        return result

    patch.setattr(workflows, name, work_and_act)


def break_part(patch: pytest.MonkeyPatch, number: int, error: Exception) -> None:
    """Let every attempt to write this part fail, until the patch is undone."""
    real: Callable[..., Any] = getattr(workflows, WORK["write"])

    def write_or_fail(*args: Any, **options: Any) -> Any:
        if args[5].number == number:
            raise error
        return real(*args, **options)

    patch.setattr(workflows, WORK["write"], write_or_fail)


def note_written(patch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which the number of each part is added that is written from now on."""
    written: list[int] = []
    real: Callable[..., Any] = getattr(workflows, WORK["write"])

    def write_and_note(*args: Any, **options: Any) -> Any:
        facts = real(*args, **options)
        written.append(facts.number)
        return facts

    patch.setattr(workflows, WORK["write"], write_and_note)
    return written


def keys(store: ObjectStore, folder: str = "parts") -> list[str]:
    return [each.key for each in store.list_objects(folder)]


def announced() -> Counter[str]:
    """Return how often each event was announced."""
    events = Job.objects.filter(type=ANNOUNCE).values_list("payload__event_type", flat=True)
    return Counter(events)


def statuses(workflow: Workflow) -> list[tuple[int, str]]:
    """Return the number and the status of every step and branch, in order."""
    steps = workflow.steps.order_by("number", "branch")
    return list(steps.values_list("number", "status"))


def live_jobs() -> list[str]:
    """Return the types of the jobs that have not settled."""
    return list(Job.objects.live().order_by("pk").values_list("type", flat=True))


def failed_jobs() -> list[Job]:
    return list(Job.objects.filter(state=JobState.FAILED))


def attempts_of_parts(workflow: Workflow) -> list[int]:
    steps = WorkflowStep.objects.filter(workflow=workflow, number=workflows.WRITE)
    return list(steps.order_by("branch").values_list("attempts", flat=True))

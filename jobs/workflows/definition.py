"""
Declares a workflow in code: named steps with typed state, their order, and what a timer does.

    archive = WorkflowDefinition("workspace.archive_project", state=ArchiveState)

    @archive.step("workspace.count_items")
    def count_items(run: StepRun[ArchiveState]) -> dict[str, int]: ...

Four kinds of steps. `step`: a worker does it in one transaction with its record, holding the
workflow's lock; it may change the state. `long_step`: a worker does it outside of transactions,
and only its output is stored. `parallel_step`: the same for each of several branches, on as many
workers; the next step waits for all. `synchronous_step`: whoever sends it does it, in the request.
"""

import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from types import FrameType
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from jobs.models import Job, Workflow, WorkflowStep
from jobs.payloads import Nothing

State = TypeVar("State", bound=BaseModel)

#: What a step returns: plain JSON values, stored as its output.
Output = dict[str, Any] | BaseModel | None

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

DEADLINE_SECONDS = 1_800

#: As the column is long.
TIMER_NAME_MAX_CHARACTERS = 60


class Kind(Enum):
    ATOMIC = auto()
    LONG = auto()
    PARALLEL = auto()
    SYNCHRONOUS = auto()


@dataclass
class StepRun(Generic[State]):
    """What a step is given."""

    workflow: Workflow
    number: int
    branch: int
    attempt: int  #: Over all its jobs; rises.
    state: State  #: Changed by atomic and synchronous steps alone; other changes are lost.
    input: Any  #: A branch's own plain JSON, or what a synchronous step was sent, as its model.
    job: Job | None  #: None in a synchronous step.
    holds_lock: bool = True  #: The workflow's: not in a long or a parallel step.

    def output_of(self, number: int) -> Any:
        """Return what an earlier step has returned."""
        return self.outputs_of(number)[0]

    def outputs_of(self, number: int) -> list[Any]:
        """Return what the branches of an earlier step have returned, in their order."""
        done = self.workflow.steps.filter(number=number).order_by("branch")
        return list(done.values_list("output", flat=True))

    def show(self, done: int, total: int) -> None:
        """
        Write how far a long step is, fenced: in a short transaction of its own.

        :raises MoveRefused: if its job was cancelled or given to another attempt.
        """
        from jobs.workflows.progress import show

        show(self, done, total)

    def set_timer(self, name: str, due_at: datetime) -> None:
        """
        Set or move a timer of this workflow; in an atomic or synchronous step.

        :raises UnknownTimer: if its definition says nothing of such a timer.
        :raises ArgumentRefused: in a long or parallel step, or if the time has no zone.
        """
        from jobs.workflows.timers import check_lock, set_timer

        check_lock(self)
        set_timer(self.workflow, name, due_at)

    def cancel_timer(self, name: str) -> None:
        """
        Cancel a timer of this workflow, if it is set; in an atomic or synchronous step.

        :raises DeadlineKept: if it is the deadline: a workflow must not wait for ever.
        :raises ArgumentRefused: in a long or parallel step.
        """
        from jobs.workflows.timers import cancel_timer, check_lock

        check_lock(self)
        cancel_timer(self.workflow, name)


@dataclass
class TimerRun(Generic[State]):
    """What the function of a timer is given; its transaction holds the workflow's lock."""

    workflow: Workflow
    name: str
    state: State

    def set_timer(self, name: str, due_at: datetime) -> None:
        """
        Set or move a timer of this workflow, also the one that fires.

        :raises UnknownTimer: if its definition says nothing of such a timer.
        :raises ArgumentRefused: if the time has no zone.
        """
        from jobs.workflows.timers import set_timer

        set_timer(self.workflow, name, due_at)

    def cancel_timer(self, name: str) -> None:
        """
        Cancel another timer of this workflow, if it is set.

        :raises DeadlineKept: if it is the deadline: a workflow must not wait for ever.
        """
        from jobs.workflows.timers import cancel_timer

        cancel_timer(self.workflow, name)


@dataclass(frozen=True, kw_only=True)
class StepDefinition:
    number: int
    name: str  #: Of its job type, where workers do it.
    kind: Kind
    function: Callable[[Any], Output]
    input: type[BaseModel] = Nothing  #: Of a synchronous step: what it must be sent.
    #: Of a parallel one: the inputs of its branches, when it is their turn.
    branches: Callable[[StepRun[Any]], Sequence[Any]] | None = None


def _all_branches(rows: Sequence[WorkflowStep]) -> Collection[int]:
    return [row.branch for row in rows]


def _nothing(*_: Any) -> None:
    """Do nothing: what a hook does where a definition declares none."""


@dataclass
class WorkflowDefinition(Generic[State]):
    """
    A workflow's name (`<app>.<verb_noun>`), typed state, deadline, and steps in order.

    `over_http` lets people start it by the API. `on_ended(workflow)` runs in the transaction in
    which it reaches a final status, whichever; `on_restarted(old, new)` in the one in which another
    goes on with it.
    """

    name: str
    state: type[State]
    version: int = 1
    deadline: timedelta = timedelta(seconds=DEADLINE_SECONDS)
    over_http: bool = False
    #: What people may start it with; its state unless given.
    start: type[BaseModel] | None = None
    #: The last step that a restart begins with: what later ones need may be gone by then.
    last_restart: int | None = None
    #: Which of the branches that are done may be kept by a restart from their step. It may ask
    #: elsewhere: no lock is held. `RestartNotNow`, raised by it: nothing is restarted.
    keeps: Callable[[Sequence[WorkflowStep]], Collection[int]] = _all_branches
    #: Its `on_ended` tells whoever asked, so that `workflow.timed_out` need not.
    tells_of_failure: bool = False
    on_ended: Callable[[Workflow], None] = _nothing
    on_restarted: Callable[[Workflow, Workflow], None] = _nothing
    steps: list[StepDefinition] = field(default_factory=list, init=False)
    timers: dict[str, Callable[[Any], None]] = field(default_factory=dict, init=False)

    module: str = field(default="", init=False)  #: Where it is declared.

    def __post_init__(self) -> None:
        from jobs.workflows.registry import register

        self.module = _declaring_module()
        register(self)

    def step(self, name: str, *, queue: str = "jobs", **options: Any) -> Decorator:
        """
        Declare the next step: a worker does it in the transaction that records it.

        It holds the workflow's lock and its job's: it must be short, well below a lease.
        """
        return self._add(name, Kind.ATOMIC, queue=queue, options=options)

    def long_step(self, name: str, *, queue: str = "jobs", **options: Any) -> Decorator:
        """Declare the next step: a worker does it, outside of transactions."""
        return self._add(name, Kind.LONG, queue=queue, options=options)

    def parallel_step(
        self,
        name: str,
        *,
        branches: Callable[[StepRun[State]], Sequence[Any]],
        queue: str = "jobs",
        **options: Any,
    ) -> Decorator:
        """Declare the next step: as a long one, for each input that `branches` returns."""
        return self._add(name, Kind.PARALLEL, queue=queue, options=options, branches=branches)

    def synchronous_step(self, name: str, *, input: type[BaseModel] = Nothing) -> Decorator:
        """Declare the next step: whoever sends its input does it, in the request."""
        return self._add(name, Kind.SYNCHRONOUS, input=input)

    def timer(self, name: str) -> Decorator:
        """
        Declare what is done when the timer of this name fires: once, in one transaction.

        That of "timeout" runs when the deadline has come, before the workflow becomes `timeout`.

        :raises ValueError: if no row could have the name.
        """
        most = TIMER_NAME_MAX_CHARACTERS
        if not 0 < len(name) <= most:
            raise ValueError(f"{self.name}: timer {name!r}: a name has 1 to {most} characters.")

        def declare(function: Callable[..., Any]) -> Callable[..., Any]:
            self.timers[name] = function
            return function

        return declare

    def restart_at(self, number: int) -> int:
        """Return the step with which a restart from this one begins."""
        return min(number, self.last_restart or number)

    def definition_of(self, number: int) -> StepDefinition | None:
        return self.steps[number - 1] if 0 < number <= len(self.steps) else None

    def _add(
        self,
        name: str,
        kind: Kind,
        *,
        queue: str = "",
        options: dict[str, Any] | None = None,
        **more: Any,
    ) -> Decorator:
        def declare(function: Callable[..., Any]) -> Callable[..., Any]:
            step = StepDefinition(
                number=len(self.steps) + 1, name=name, kind=kind, function=function, **more
            )
            self.steps.append(step)
            if kind != Kind.SYNCHRONOUS:
                from jobs.workflows.working import declare_job

                declare_job(self, step, queue=queue, **(options or {}))
            return function

        return declare


def _declaring_module() -> str:
    """Return the name of the module whose code makes the definition: `typing` calls what has []."""
    frame: FrameType | None = sys._getframe()
    while frame and frame.f_globals.get("__name__") in (__name__, "typing"):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__")) if frame else ""


def actor_of(workflow: Workflow) -> dict[str, Any]:
    """Return whose the jobs of a workflow are."""
    return {"tenant_id": workflow.tenant_id, "user_id": workflow.user_id}

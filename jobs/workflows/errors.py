"""What can go wrong with a workflow, and what the reader should do about it."""

import uuid
from collections.abc import Iterable

from jobs.errors import GiveUp
from jobs.states import WorkflowStatus


class WorkflowError(Exception):
    """Base of every error in this package. Catch a subclass, never this."""


class UnknownWorkflow(WorkflowError):
    """There is no such workflow, or it belongs to another tenant."""

    def __init__(self, workflow_id: uuid.UUID) -> None:
        super().__init__(f"There is no workflow {workflow_id}.")


class UnknownDefinition(WorkflowError, ValueError):
    """Nobody declared a workflow of this name, or it may not be started from outside."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        listed = ", ".join(sorted(known)) or "none"
        super().__init__(f"There is no workflow named {name!r}. Known: {listed}.")


class StateRefused(WorkflowError, ValueError):
    """The data doesn't fit what the workflow begins with, or what a step is sent."""


class ResultRefused(StateRefused, GiveUp):
    """What a step brought can't be stored. It would bring the same again: it is not retried."""


class StateOutgrown(WorkflowError, GiveUp):
    """A release has changed the state's model so that what is stored fits it no more."""

    def __init__(self, name: str, faults: str) -> None:
        super().__init__(
            f"The stored state doesn't fit that of {name} in this release: {faults}. "
            "A new field of a state needs a default."
        )


class WorkflowKeyInUse(WorkflowError):
    """A live workflow of this tenant and name has the same key."""

    def __init__(self, workflow_id: uuid.UUID, key: str) -> None:
        super().__init__(f"Workflow {workflow_id} is live and has the key {key!r}.")
        self.workflow_id = workflow_id


class ArgumentRefused(WorkflowError, ValueError):
    """What was given can't be stored, or not from there; the text names it and what to do."""


class UnknownStep(WorkflowError):
    """The workflow has no step of this number."""

    def __init__(self, number: int, count: int) -> None:
        super().__init__(f"There is no step {number}; the steps are 1 to {count}.")


class StepOutOfOrder(WorkflowError):
    """Another step is to be done first."""

    def __init__(self, number: int, wanted: int) -> None:
        super().__init__(f"Step {number} is out of order; step {wanted} is to be done now.")


class StepOfWorkers(WorkflowError):
    """Workers do this step by themselves; it can't be sent."""

    def __init__(self, number: int, workflow_id: uuid.UUID) -> None:
        super().__init__(
            f"Step {number} is done by workers; it can't be sent. "
            f"Follow it by GET /workflows/{workflow_id}."
        )


class StepRefused(WorkflowError):
    """The step says that it can't be done as things are; nothing was done. Send it again later."""


class WorkflowEnded(WorkflowError):
    """The workflow has reached a final status, which nothing leaves."""

    def __init__(self, workflow_id: uuid.UUID, status: str) -> None:
        but = "." if status == WorkflowStatus.COMPLETED else " but to restart it from a step."
        super().__init__(f"Workflow {workflow_id} is {status}; nothing more can be done to it{but}")


class NotRestartable(WorkflowError):
    """Only a workflow that ended without being completed is restarted, once, from a step it had."""


class RestartNotNow(WorkflowError):
    """What a restart may keep can't be found out at this moment; nothing was restarted."""


class UnknownTimer(WorkflowError):
    """The workflow has no timer of this name."""

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        listed = ", ".join(sorted(known))
        super().__init__(f"There is no timer {name!r}." + (f" Known: {listed}." if listed else ""))


class DeadlineKept(WorkflowError):
    """A workflow without a deadline could wait for ever: move it instead."""

    def __init__(self) -> None:
        super().__init__("A deadline can be moved, not cancelled.")

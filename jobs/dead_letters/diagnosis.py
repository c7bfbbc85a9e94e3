"""Says why no worker ran a message."""

from celery import current_app

from jobs import registry
from jobs.engine.dead_message import DeadMessage
from jobs.errors import (
    JobError,
    JobExpired,
    PlainTaskFailed,
    RefusedUnread,
    UnknownTaskType,
)


def why_refused(message: DeadMessage) -> JobError:
    """
    Return what kept the workers from it, as the error that its job, if it has one, failed with.

    What can be read, and came in time, was refused by a worker that didn't know its type. This
    process may know it: in a deploy, the workers differ.
    """
    if _is_plain(message.type):
        return PlainTaskFailed(f"The plain Celery task {message.type} failed, or was refused.")
    if message.fault:
        return RefusedUnread(f"No worker could read its message: {message.fault}.")
    if message.has_expired:
        return JobExpired("It expired in its queue, by its message's own time limit.")
    if message.has_positional_arguments:
        return RefusedUnread("Its message has positional arguments; a payload is keywords alone.")
    if not message.has_storable_payload:
        return RefusedUnread(
            "Its payload holds what the ledger can't store: NUL, NaN or half a character."
        )
    return UnknownTaskType(message.type, [each.name for each in registry.all_types()])


def _is_plain(name: str) -> bool:
    """Tell whether this process knows a Celery task of this name that is no job type."""
    return name in current_app.tasks and registry.find_type(name) is None

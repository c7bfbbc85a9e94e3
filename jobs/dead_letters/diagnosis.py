"""Says why no worker ran a message."""

from jobs import registry
from jobs.engine.dead_message import DeadMessage
from jobs.errors import JobError, JobExpired, RefusedUnread, UnknownTaskType


def why_refused(message: DeadMessage) -> JobError:
    """
    Return what kept the workers from it, as the error that its job, if it has one, failed with.

    What can be read, and came in time, was refused by a worker that didn't know its type. This
    process may know it: in a deploy, the workers differ.
    """
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

"""Background jobs that lose nothing: `from jobs import enqueue, enqueue_many, job_task, …`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.metrics.record import record_event
    from jobs.operations import enqueue, enqueue_many
    from jobs.task import job_task

__all__ = ["enqueue", "enqueue_many", "job_task", "record_event"]

_HOMES = {
    "enqueue": "operations",
    "enqueue_many": "operations",
    "job_task": "task",
    "record_event": "metrics.record",
}


def __getattr__(name: str) -> Any:
    """Import the public names when they are used: models can't be read before Django is set up."""
    if name not in _HOMES:
        raise AttributeError(f"module 'jobs' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"jobs.{_HOMES[name]}"), name)

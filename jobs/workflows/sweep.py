"""Has the relay look for timers that are due."""

from jobs.engine import chores
from jobs.workflows.timers import enqueue_due_timers

#: A timer fires within ten seconds of its time: this, the relay's nap, and a job.
EVERY_SECONDS = 2


def register() -> None:
    """Called once, when the app is ready."""
    chores.register("workflow timers", enqueue_due_timers, every_seconds=EVERY_SECONDS)

"""Has the relay look for timers that are due."""

from jobs.engine import chores
from jobs.workflows.timers import BATCH_TIMERS, enqueue_due_timers

#: A timer fires within ten seconds of its time: this, the relay's nap, and a job.
EVERY_SECONDS = 2


def sweep() -> int:
    """Enqueue all that is due, however much it is after an outage; return how many."""
    total = 0
    while found := enqueue_due_timers():
        total += found
        if found < BATCH_TIMERS:
            break
    return total


def register() -> None:
    """Called once, when the app is ready."""
    chores.register("workflow timers", sweep, every_seconds=EVERY_SECONDS)

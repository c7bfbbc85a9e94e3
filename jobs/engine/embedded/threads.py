"""The threads that run jobs in the embedded profile; one of them is kept for timers."""

from typing import Any

from celery.concurrency.thread import TaskPool

from jobs.lanes import TIMERS


class Threads(TaskPool):
    """Celery's pool of threads, and a pool of one: jobs that last can't hold up a deadline."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._for_timers = TaskPool(limit=1)

    def on_apply(self, target: Any, args: Any = None, *more: Any, **options: Any) -> Any:
        if _is_of_a_timer(args):
            return self._for_timers.on_apply(target, args, *more, **options)
        return super().on_apply(target, args, *more, **options)

    def on_stop(self) -> None:
        self._for_timers.on_stop()
        super().on_stop()


def _is_of_a_timer(args: Any) -> bool:
    """Read it from the third of what Celery's worker calls a task with: the message's headers."""
    key = args[2]["delivery_info"]["routing_key"] or ""
    return bool(key.partition(".")[0] == TIMERS)

"""The threads that run jobs in the embedded profile; one of them is kept for timers."""

from typing import Any

from celery.concurrency.thread import TaskPool

from jobs.engine.embedded.transport import is_of_a_timer


class Threads(TaskPool):
    """Celery's pool of threads, and a pool of one: jobs that last can't hold up a deadline."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._for_timers = TaskPool(limit=1)

    def on_apply(self, target: Any, args: Any = None, *more: Any, **options: Any) -> Any:
        # The third of what Celery's worker calls a task with is its message's headers.
        if is_of_a_timer(args[2]["delivery_info"]):
            return self._for_timers.on_apply(target, args, *more, **options)
        return super().on_apply(target, args, *more, **options)

    def on_stop(self) -> None:
        """Let what runs end, and nothing begin: in neither pool, while one waits for the other."""
        pools: tuple[Any, ...] = (self, self._for_timers)  # Their executors have no types.
        for pool in pools:
            pool.executor.shutdown(wait=False, cancel_futures=True)
        self._for_timers.on_stop()
        super().on_stop()

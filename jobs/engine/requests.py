"""
Deliveries as the worker's parent process sees them: what becomes of a message when its child ends.

The parent touches no database: it acknowledges, rejects or returns the message, and no more.
"""

from signal import SIGINT, SIGKILL, SIGQUIT, SIGTERM
from typing import Any

from billiard.exceptions import TimeLimitExceeded
from celery.exceptions import InvalidTaskError
from celery.platforms import signals
from celery.worker.request import Request
from celery.worker.state import revoked as revoked_ids
from celery.worker.state import task_ready

from jobs import registry
from jobs.engine.shape import job_fault_of
from jobs.engine.stopping import STOP_SIGNAL

#: A child is deaf to these where REMAP_SIGTERM is set: what ends all of a container is not for it.
IGNORED = frozenset({SIGTERM, SIGINT, SIGQUIT})

#: Shown in place of what the type of a job keeps where not everybody sees it.
KEPT_APART = "(kept apart)"


class JobRequest(Request):
    """A delivery of a job."""

    _terminating = False

    def __init__(self, message: Any, **options: Any) -> None:
        """:raises InvalidTaskError: for a message that names no job, or asks for what none has."""
        super().__init__(message, **options)
        content: Any = self._payload  # type: ignore[attr-defined]
        fault = job_fault_of(self.request_dict, content[2])
        if fault:
            raise InvalidTaskError(fault)
        if registry.puts_away(self.name) and self.request_dict.get("dispatch") is None:
            self._kwargsrepr = KEPT_APART  # Another program's, whole: Flower and the log show it.
        # Whatever the message wishes: Celery would ask for the result, and write it, from here.
        self._ignore_result = self.request_dict["ignore_result"] = True

    def info(self, safe: bool = False) -> Any:
        """Tell Flower and `inspect` of it: in full, but for what is kept apart."""
        return super().info(safe=safe or self._kwargsrepr == KEPT_APART)

    def cancel(self, pool: Any, signal: Any = None, emit_retry: bool = True) -> None:
        """
        Tell the child to hand its job over, when the worker stops (Celery's soft or cold shutdown).

        Not by the signal that time limits and revokes use: the child must tell them apart. The
        worker's shutdown then waits for its children.
        """
        super().cancel(
            pool,
            signal=STOP_SIGNAL,  # type: ignore[arg-type]
            emit_retry=False,  # It would write a result, from here.
        )

    def revoked(self) -> bool:
        """
        Let a child cancel a revoked job in the ledger: Celery forgets it, and it would come again.

        One that has expired is rejected, for a dead letter; Celery would acknowledge it.
        """
        if self.expires and self.maybe_expire():
            revoked_ids.discard(self.id)
            task_ready(self)
            self.reject(requeue=False)
            return True
        if self.id in revoked_ids:
            self.request_dict["revoked"] = True
        return False

    def terminate(self, pool: Any, signal: Any = None) -> None:
        """
        End the child, for `revoke(terminate=True)`; its message goes back to the queue.

        The worker that gets it knows of the revoke, and lets a child cancel the job.
        """
        if self.time_start is None:
            self._terminate_on_ack = pool, signal
            return
        self._terminating = True
        number = signals.signum(signal or "TERM")
        pool.terminate_job(self.worker_pid, SIGKILL if number in IGNORED else number)

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> None:
        """
        Reject what Celery would send round again, or die of; the alerting task decides.

        A hard limit: Celery requeues it. `MemoryError`: the parent raises it again and ends.
        """
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        if self._terminating:
            self._end(requeue=True)
        elif isinstance(error, TimeLimitExceeded | MemoryError):
            self._end(requeue=False)
        else:
            super().on_failure(exc_info, send_failed_event, return_ok)

    def _end(self, *, requeue: bool) -> None:
        task_ready(self)
        self.reject(requeue=requeue)


class DeadLetterRequest(Request):
    """A delivery of a dead letter: whatever ends the alerting task, it goes back to its queue."""

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> None:
        task_ready(self)
        self.reject(requeue=True)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """Nothing: `on_failure` came before."""

    def revoked(self) -> bool:
        return False

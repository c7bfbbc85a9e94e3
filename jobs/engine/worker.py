"""What the engine changes in a Celery worker, through Celery's documented extension points."""

from typing import Any

from celery.worker.consumer import Consumer
from celery.worker.consumer.delayed_delivery import DelayedDelivery
from celery.worker.request import Request

from jobs.engine.stopping import STOP_SIGNAL


class JobRequest(Request):
    """A delivery of a job, as the worker's parent process sees it."""

    def cancel(self, pool: Any, signal: Any = None, emit_retry: bool = True) -> None:
        """
        Tell the child to hand its job over, when the worker stops (Celery's soft or cold shutdown).

        Not by the signal that time limits and revokes use: the child must tell them apart. The
        worker's shutdown then waits for its children.
        """
        super().cancel(
            pool,
            signal=STOP_SIGNAL,  # type: ignore[arg-type]
            emit_retry=emit_retry,
        )


class JobConsumer(Consumer):
    """Consumes the lanes, without the 28 queues of Celery's delayed delivery: none is used."""

    class Blueprint(Consumer.Blueprint):  # type: ignore[valid-type, misc]
        default_steps = [
            step
            for step in Consumer.Blueprint.default_steps
            if step != f"{DelayedDelivery.__module__}:{DelayedDelivery.__name__}"
        ]

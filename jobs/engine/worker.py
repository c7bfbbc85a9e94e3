"""What the engine changes in a Celery worker, through Celery's documented extension points."""

from collections.abc import Callable
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


#: How long task events are gathered for one message: Celery sends nearly each by itself.
EVENTS_GATHER_SECONDS = 0.1


class JobConsumer(Consumer):
    """Consumes the lanes; rejects what it can't read, where Celery's own loses it or dies."""

    _gathers_events = False

    class Blueprint(Consumer.Blueprint):  # type: ignore[valid-type, misc]
        # Without the 28 queues of Celery's delayed delivery: nothing is delayed in the broker.
        default_steps = [
            step
            for step in Consumer.Blueprint.default_steps
            if step != f"{DelayedDelivery.__module__}:{DelayedDelivery.__name__}"
        ]

    def connection_for_write(self, url: Any = None, heartbeat: Any = None) -> Any:
        """
        Return the connection for events, the only thing that a worker's parent publishes.

        Without confirms: to wait for one stops the loop that feeds the children.
        """
        options = {"confirm_publish": False}
        connection = self.app.connection_for_write(
            url=url, heartbeat=heartbeat, transport_options=options
        )
        return self.ensure_connected(connection)

    def on_send_event_buffered(self) -> Any:
        """Send the events of EVENTS_GATHER_SECONDS together; Flower sees them that much later."""
        consumer: Any = self
        if consumer.hub and not self._gathers_events:
            self._gathers_events = True
            consumer.hub.call_later(EVENTS_GATHER_SECONDS, self._flush_gathered_events)

    def _flush_gathered_events(self) -> None:
        consumer: Any = self
        self._gathers_events = False
        consumer._flush_events()

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Reject it, so that it is dead-lettered; Celery acknowledges it."""
        self.on_invalid_task(None, message, exc)

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Return Celery's handler, kept from ending the worker for a body of another shape."""
        handle = super().create_task_handler(*args, **kwargs)
        consumer: Any = self
        broken = (*consumer.connection_errors, *consumer.channel_errors)

        def survive(message: Any) -> None:
            try:
                handle(message)
            except broken:
                raise
            except Exception as error:
                if message.acknowledged:
                    raise
                self.on_invalid_task(None, message, error)

        return survive

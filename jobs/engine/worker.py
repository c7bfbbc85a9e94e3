"""What the engine changes in a Celery worker, through Celery's documented extension points."""

from collections.abc import Callable
from typing import Any

from celery.exceptions import InvalidTaskError
from celery.utils.log import get_logger
from celery.worker.consumer import Consumer
from celery.worker.consumer.delayed_delivery import DelayedDelivery
from django.conf import settings
from kombu.exceptions import ContentDisallowed, DecodeError

from jobs import log_events
from jobs.engine import remote_control
from jobs.engine.dead_call import DeadCall
from jobs.engine.frames import frame_handler
from jobs.engine.shape import fault_of

logger = get_logger(__name__)
remote_control.register()

#: How long task events are gathered for one message: Celery sends nearly each by itself.
EVENTS_GATHER_SECONDS = 0.1


class JobConsumer(Consumer):
    """Consumes the lanes; rejects what it can't read, where Celery's own loses it or dies."""

    _gathers_events = False
    _record: Callable[[Any], None]

    class Blueprint(Consumer.Blueprint):  # type: ignore[valid-type, misc]
        # Without the 28 queues of Celery's delayed delivery: nothing is delayed in the broker.
        default_steps = [
            step
            for step in Consumer.Blueprint.default_steps
            if step != f"{DelayedDelivery.__module__}:{DelayedDelivery.__name__}"
        ]

    def connection_for_read(self, heartbeat: Any = None) -> Any:
        """Return the connection that messages come by, which survives whatever they carry."""
        options = {} if settings.PROFILE == "embedded" else {"frame_handler": frame_handler}
        connection = self.app.connection_for_read(heartbeat=heartbeat, transport_options=options)
        return self.ensure_connected(connection)

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
        if is_dead(message):
            self._record(message)
        else:
            self.on_invalid_task(None, message, exc)

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Reject it; Celery's own writes a result from here, and waits for the database."""
        log_events.type_unknown(message.headers, exc)
        self._reject(message)

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        log_events.message_refused(message.headers, exc)
        self._reject(message)

    def on_unknown_message(self, body: Any, message: Any) -> None:
        self.on_invalid_task(body, message, InvalidTaskError("It is no task message."))

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """
        Return Celery's handler, kept from ending the worker for a body of another shape.

        What comes from the dead-letter exchange goes to the alerting task, whatever it is.
        """
        handle = super().create_task_handler(*args, **kwargs)
        consumer: Any = self
        broken = (*consumer.connection_errors, *consumer.channel_errors)
        self._record = lambda message: handle(DeadCall(message))

        def survive(message: Any) -> None:
            try:
                if is_dead(message):
                    self._record(message)
                else:
                    refuse_misshapen(message)
                    handle(message)
            except broken:
                raise
            except Exception as error:
                if message.acknowledged:
                    raise
                self.on_invalid_task(None, message, error)

        return survive

    def _reject(self, message: Any) -> None:
        """
        Reject a message to the dead-letter exchange; one that comes from there, to its queue.

        The latter is a call that this worker can't make: another one may.
        """
        consumer: Any = self
        message.reject_log_error(logger, consumer.connection_errors, requeue=is_dead(message))


def is_dead(message: Any) -> bool:
    """Tell whether a message was dead-lettered, and not sent to be worked."""
    exchange = (message.delivery_info or {}).get("exchange")
    return bool(exchange == settings.JOBS_DEAD_LETTER_QUEUE.exchange.name)


def refuse_misshapen(message: Any) -> None:
    """:raises InvalidTaskError: for a protocol 2 message that Celery's child would lose."""
    if "task" not in message.headers:
        return  # Protocol 1, whose shape Celery checks; or no task at all.
    try:
        content = message.payload
    except (ContentDisallowed, DecodeError) as error:
        raise InvalidTaskError(str(error)) from error
    fault = fault_of(message.headers, content)
    if fault:
        raise InvalidTaskError(fault)

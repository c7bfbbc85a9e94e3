"""Queues in the memory of this process that dead-letter what is rejected, as RabbitMQ does."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from kombu.transport import TRANSPORT_ALIASES, memory, virtual
from kombu.transport.virtual import Message

from jobs.lanes import TIMERS


class QoS(virtual.QoS):
    """Counts what keeps the threads busy: not the timers, which have a thread of their own."""

    def can_consume(self) -> bool:
        delivered: Any = self._delivered
        done: Any = self._dirty
        busy = sum(
            tag not in done and not is_of_a_timer(message.delivery_info)
            for tag, message in delivered.items()
        )
        return not self.prefetch_count or busy < self.prefetch_count


class Channel(memory.Channel):
    """
    kombu's own drops a rejected message and forgets to mark one that comes again.

    Nor does it take anything while every thread is busy; this one goes on to take timers.
    """

    QoS = QoS

    def drain_events(
        self, timeout: float | None = None, callback: Callable[..., Any] | None = None
    ) -> Any:
        if self.qos.can_consume() or TIMERS not in self._active_queues:
            return super().drain_events(timeout, callback)
        return self._get_and_deliver(TIMERS, callback or self.connection._deliver)

    def basic_reject(self, delivery_tag: str, requeue: bool = False) -> None:
        message = self.qos.get(delivery_tag)
        if requeue:
            message.delivery_info["redelivered"] = True
        else:
            self._dead_letter(message)
        super().basic_reject(delivery_tag, requeue=requeue)

    def _dead_letter(self, message: Message) -> None:
        """Put the message, body and headers untouched, where the dead-letter exchange leads."""
        origin = message.delivery_info
        queue = settings.JOBS_DEAD_LETTER_QUEUE
        if origin["exchange"] == queue.exchange.name:
            return  # It was dead already, and that queue has no dead-letter exchange.
        copy = message.serializable()
        copy["headers"]["x-death"] = [_death(origin)]
        copy["properties"] = {
            **copy["properties"],
            "delivery_tag": self._next_delivery_tag(),
            "delivery_info": {**origin, "exchange": queue.exchange.name, "redelivered": False},
        }
        for name in self._lookup(queue.exchange.name, origin["routing_key"]):
            self._put(name, copy)


class Transport(memory.Transport):
    Channel = Channel


def use_dead_lettering_queues() -> None:
    """Make `memory://` mean this transport; call it before the first connection is opened."""
    TRANSPORT_ALIASES["memory"] = f"{Transport.__module__}:{Transport.__qualname__}"


def is_of_a_timer(delivery_info: dict[str, Any]) -> bool:
    """Tell whether a message with this routing key came on the lane of timers."""
    return (delivery_info["routing_key"] or "").partition(".")[0] == TIMERS


def _death(origin: dict[str, Any]) -> dict[str, Any]:
    """Return what RabbitMQ says of a death; our lanes bind by the first word of the routing key."""
    return {
        "queue": origin["routing_key"].partition(".")[0],
        "reason": "rejected",
        "exchange": origin["exchange"],
        "routing-keys": [origin["routing_key"]],
        "count": 1,
        "time": datetime.now(UTC).isoformat(),
    }

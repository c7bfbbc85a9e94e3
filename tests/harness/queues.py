"""What lies in the broker, seen and written past the product's own code."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import amqp
from kombu import Connection


class Queues:
    """The queues of one virtual host."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ready(self, name: str) -> int:
        """Return how many messages wait in a queue right now: exact, but without the unacked."""
        with self.channel() as channel:
            return int(channel.queue_declare(name, passive=True).message_count)

    def consumers(self, name: str) -> int:
        with self.channel() as channel:
            return int(channel.queue_declare(name, passive=True).consumer_count)

    def publish(
        self,
        routing_key: str,
        body: bytes | str,
        *,
        exchange: str = "jobs",
        headers: Mapping[str, Any] | None = None,
        times: int = 1,
        **properties: Any,
    ) -> None:
        """Publish a raw message, JSON unless `content_type` says otherwise; confirmed."""
        kept = {"content_type": "application/json", "content_encoding": "utf-8", "delivery_mode": 2}
        message = amqp.Message(body, application_headers=dict(headers or {}), **kept | properties)
        with self.channel() as channel:
            for _ in range(times):
                channel.basic_publish_confirm(message, exchange, routing_key, mandatory=True)

    def peek(self, name: str, limit: int = 1_000) -> list[amqp.Message]:
        """Return the waiting messages and leave them there; costs each a delivery."""
        with self.channel() as channel:  # What is not acknowledged returns with the channel's end.
            return list(self._got(channel, name, limit, no_ack=False))

    def take(self, name: str, limit: int = 1_000) -> list[amqp.Message]:
        """Remove the waiting messages and return them."""
        with self.channel() as channel:
            return list(self._got(channel, name, limit, no_ack=True))

    def purge(self, name: str) -> None:
        with self.channel() as channel:
            channel.queue_purge(name)

    @contextmanager
    def channel(self) -> Iterator[Any]:
        """Open a py-amqp channel of our own."""
        transport = {"confirm_publish": True}
        with Connection(self.url, transport_options=transport) as connection:
            yield connection.default_channel

    @staticmethod
    def _got(channel: Any, name: str, limit: int, *, no_ack: bool) -> Iterator[amqp.Message]:
        for _ in range(limit):
            message = channel.basic_get(name, no_ack=no_ack)
            if message is None:
                return
            yield message

"""Hands messages to the broker and says which of them it did not confirm."""

import socket
from collections.abc import Sequence
from typing import Any, Protocol

import amqp
from celery import Celery, current_app
from django.conf import settings
from kombu import Connection, Producer
from kombu.exceptions import OperationalError

from jobs import log_events
from jobs.engine.message import Message
from jobs.errors import BrokerUnreachable
from jobs.lanes import lanes

#: What py-amqp and kombu raise when the broker is away, silent or refuses us.
BROKER_FAULTS = (OSError, amqp.AMQPError, OperationalError)

CONTENT: dict[str, Any] = {
    "content_type": "application/json",
    "content_encoding": "utf-8",
    "delivery_mode": 2,
}


class Publisher(Protocol):
    """What the relay needs of a broker."""

    def connect(self) -> None:
        """
        Make sure of a connection: nothing is taken from the ledger for a broker that is away.

        :raises Unconfirmed: when the broker can't be reached; its list is empty.
        """

    def send(self, messages: Sequence[Message]) -> dict[str, str]:
        """
        Publish, wait for the broker's word, and return `{id: reason}` of what it did not take.

        :raises Unconfirmed: when the outcome of some is unknown; `.unconfirmed` has their ids.
        """

    def ready_messages(self, queue: str) -> int | None:
        """Return how many messages wait in a queue, or None where it does not exist."""

    def close(self) -> None: ...


class Unconfirmed(BrokerUnreachable):
    """The connection broke or the broker was silent: these ids may or may not have arrived."""

    def __init__(self, cause: BaseException, ids: list[str]) -> None:
        super().__init__(f"{type(cause).__name__}: {cause}")
        self.unconfirmed = ids


def open_publisher(app: Celery | None = None) -> Publisher:
    """Return the publisher for CELERY_BROKER_URL; it connects when it first sends."""
    app = app or current_app
    if settings.PROFILE == "embedded":
        return MemoryPublisher(app)
    return AmqpPublisher(app)


class AmqpPublisher:
    """
    Publishes with pipelined confirms: one wait for a batch instead of one for each message.

    A connection of its own without kombu's `confirm_publish`, which waits each time; mandatory,
    because a confirm says nothing of a message that no queue took; and read and write timeouts,
    because a broker in alarm blocks for ever (measured).
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._connection: Connection | None = None
        self._channel: Any = None
        self._sent = 0
        self._open: dict[int, str] = {}
        self._faults: dict[str, str] = {}

    def connect(self) -> None:
        try:
            self._connect()
        except BROKER_FAULTS as error:
            self.close()
            raise Unconfirmed(error, []) from error

    def send(self, messages: Sequence[Message]) -> dict[str, str]:
        sent = 0
        self._open, self._faults = {}, {}
        try:
            self._connect()
            self._cork(True)
            for message in messages:
                self._publish(message)
                sent += 1
            self._cork(False)
            while self._open:
                self._channel.connection.drain_events(timeout=settings.JOBS_BROKER_TIMEOUT_SECONDS)
        except BROKER_FAULTS as error:
            # One that failed while it was written is open as well as not sent: a set.
            unsent = (message.id for message in messages[sent:])
            ids = list({*self._open.values(), *self._faults, *unsent})
            self.close()
            raise Unconfirmed(error, ids) from error
        if self._faults:
            self.close()  # A queue may be gone: the next connection declares what is missing.
        return self._faults

    def ready_messages(self, queue: str) -> int | None:
        self.connect()
        try:
            channel = self._channel.connection.channel()
            try:
                return int(channel.queue_declare(queue, passive=True).message_count)
            except amqp.NotFound:
                return None
            finally:
                if channel.is_open:
                    channel.close()
        except BROKER_FAULTS as error:
            self.close()
            raise Unconfirmed(error, []) from error

    def close(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            # Not `close()`: it waits for the word of a broker that may be silent.
            connection.collect(socket_timeout=0.1)

    def _connect(self) -> None:
        """Connect and declare every exchange and queue: a wiped broker gets them back here."""
        if self._channel is not None and self._channel.is_open:
            return
        self.close()
        seconds = settings.JOBS_BROKER_TIMEOUT_SECONDS
        options = {"confirm_publish": False, "read_timeout": seconds, "write_timeout": seconds}
        self._connection = self._app.connection_for_write(heartbeat=0, transport_options=options)
        self._connection.connect()
        declare_topology(self._connection)
        self._channel = self._connection.connection.channel()
        self._channel.confirm_select()
        self._sent = 0
        self._channel.events["basic_ack"].add(self._acked)
        self._channel.events["basic_nack"].add(self._nacked)
        self._channel.events["basic_return"].add(self._returned)

    def _cork(self, corked: bool) -> None:
        """
        Let the kernel fill its packets while a batch is written (Linux).

        Else each message is one: measured, a third more work here and in the broker.
        """
        if hasattr(socket, "TCP_CORK"):
            raw = self._channel.connection.transport.sock
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, int(corked))

    def _publish(self, message: Message) -> None:
        self._sent += 1
        self._open[self._sent] = message.id
        self._channel.basic_publish(
            amqp.Message(
                message.body,
                correlation_id=message.id,
                application_headers=message.headers,
                **_priority(message),
                **CONTENT,
            ),
            exchange=message.exchange,
            routing_key=message.routing_key,
            mandatory=True,
        )

    def _acked(self, tag: int, multiple: bool) -> None:
        self._answered(tag, multiple)

    def _nacked(self, tag: int, multiple: bool) -> None:
        for message_id in self._answered(tag, multiple):
            self._faults[message_id] = "refused by the broker (nack)"

    def _answered(self, tag: int, multiple: bool) -> list[str]:
        if not multiple:
            return [self._open.pop(tag)] if tag in self._open else []
        return [self._open.pop(each) for each in list(self._open) if each <= tag]

    def _returned(self, error: Any, exchange: str, routing_key: str, message: Any) -> None:
        """A return has no delivery tag: the correlation id says which. Its ack still comes."""
        self._faults[message.properties["correlation_id"]] = f"unroutable: {error}"


class MemoryPublisher:
    """Publishes to kombu's in-memory queues, which are of this process alone."""

    def __init__(self, app: Celery) -> None:
        self._connection: Connection = app.connection_for_write()
        declare_topology(self._connection)
        self._channel: Any = self._connection.default_channel
        self._producer = Producer(self._channel)

    def connect(self) -> None:
        return  # Memory is never away.

    def send(self, messages: Sequence[Message]) -> dict[str, str]:
        faults = {}
        for message in messages:
            if not self._channel._lookup(message.exchange, message.routing_key):
                faults[message.id] = "unroutable: no queue"  # It would vanish.
                continue
            self._producer.publish(
                message.body,
                exchange=message.exchange,
                routing_key=message.routing_key,
                headers=message.headers,
                correlation_id=message.id,
                **_priority(message),
                **CONTENT,
            )
        return faults

    def ready_messages(self, queue: str) -> int | None:
        return int(self._channel.queue_declare(queue, passive=True).message_count)

    def close(self) -> None:
        self._connection.release()


def _priority(message: Message) -> dict[str, Any]:
    return {} if message.priority is None else {"priority": message.priority}


def declare_topology(connection: Connection) -> list[str]:
    """
    Declare every exchange, queue and binding, the dead letters' first; return what was refused.

    A queue that exists with other arguments is left as it is: changing it would need a new name.
    """
    refused = []
    for queue in (settings.JOBS_DEAD_LETTER_QUEUE, *lanes()):
        with connection.channel() as channel:
            try:
                queue(channel).declare()
            except amqp.PreconditionFailed as error:
                refused.append(f"{queue.name}: {error.reply_text}")
                log_events.topology_refused(queue.name, str(error.reply_text))
    return refused

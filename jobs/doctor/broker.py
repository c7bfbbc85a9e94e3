"""Checks of RabbitMQ: that it answers, has what we declare, and consumers for every queue."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import amqp
from celery import current_app
from django.conf import settings
from kombu import Connection, Queue

from jobs.doctor import bindings
from jobs.doctor.findings import Finding, failed, ok, warning
from jobs.engine.publisher import BROKER_FAULTS

DECLARE = "manage.py declare_topology"
AWAY = "Start RabbitMQ; see CELERY_BROKER_URL."
IN_MEMORY = "embedded: queues live in the memory of manage.py up"


def answers() -> Finding:
    if settings.PROFILE == "embedded":
        return ok(IN_MEMORY)
    try:
        with _connection() as connection:
            said = connection.connection.server_properties
            return ok(f"{said.get('product')} {said.get('version')} answers")
    except BROKER_FAULTS as error:
        return failed(f"away: {_line(error)}", AWAY)


def has_topology() -> Finding:
    """Look passively first: what is missing must not be made by whoever looks for it."""
    if settings.PROFILE == "embedded":
        return ok(IN_MEMORY)
    try:
        with _connection() as connection:
            faults = [fault for queue in _queues() for fault in _faults(connection, queue)]
    except BROKER_FAULTS as error:
        return failed(f"not looked at, the broker is away: {_line(error)}", AWAY)
    if any("other arguments" in fault for fault in faults):
        remedy = f"Empty it and delete it, then {DECLARE}; or give the queue another name"
        return failed("; ".join(faults), remedy)
    return failed("; ".join(faults), DECLARE) if faults else _bindings()


def has_consumers() -> Finding:
    if settings.PROFILE == "embedded":
        return ok(IN_MEMORY)
    counts: dict[str, int] = {}
    try:
        with _connection() as connection:
            for queue in _queues():
                counts[queue.name] = _look(connection, queue.name).consumer_count
    except amqp.NotFound:
        return failed("a queue is missing", DECLARE)
    except BROKER_FAULTS as error:
        return failed(f"not looked at, the broker is away: {_line(error)}", AWAY)
    idle = [name for name, count in counts.items() if not count]
    if idle:
        command = f"celery -A project worker -Q {','.join(idle)}"
        return failed(f"none takes from {', '.join(idle)}", command)
    return ok(", ".join(f"{name} {count}" for name, count in counts.items()))


def _bindings() -> Finding:
    try:
        missing = [words for queue in _queues() for words in bindings.missing(queue)]
    except bindings.NotSeen as reason:
        found = f"queues and exchanges as declared; bindings were not looked at: {reason}"
        return warning(found, "Set RABBITMQ_MANAGEMENT_URL")
    return failed("; ".join(missing), DECLARE) if missing else ok("as declared")


def _faults(connection: Connection, queue: Queue) -> Iterator[str]:
    """Say what is wrong with a queue and its exchange."""
    exchange = queue.exchange
    channel: Any
    with connection.channel() as channel:
        try:
            channel.exchange_declare(exchange.name, exchange.type, passive=True)
        except amqp.NotFound:
            yield f"the exchange {exchange.name} is missing"
    try:
        _look(connection, queue.name)
    except amqp.NotFound:
        yield f"the queue {queue.name} is missing"
        return
    with connection.channel() as channel:
        try:
            queue(channel).queue_declare()
        except amqp.PreconditionFailed as error:
            yield f"the queue {queue.name} has other arguments: {error.reply_text}"


def _look(connection: Connection, name: str) -> Any:
    """:raises amqp.NotFound: if there is no such queue."""
    channel: Any
    with connection.channel() as channel:
        return channel.queue_declare(name, passive=True)


def _queues() -> tuple[Queue, ...]:
    return tuple(settings.CELERY_TASK_QUEUES)


@contextmanager
def _connection() -> Iterator[Connection]:
    """Open a connection that gives up after JOBS_BROKER_TIMEOUT_SECONDS."""
    seconds = settings.JOBS_BROKER_TIMEOUT_SECONDS
    options = {"confirm_publish": False, "read_timeout": seconds, "write_timeout": seconds}
    connection = current_app.connection_for_write(
        heartbeat=0, connect_timeout=seconds, transport_options=options
    )
    try:
        connection.connect()
        yield connection
    finally:
        connection.collect(socket_timeout=0.1)


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:160]

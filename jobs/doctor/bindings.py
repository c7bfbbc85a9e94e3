"""Bindings, which AMQP can make and not list: asked of RabbitMQ's management API."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import httpx2
from celery import current_app
from django.conf import settings
from kombu import Queue

#: RabbitMQ's own convention: the management API listens 10,000 above the broker.
MANAGEMENT_ABOVE = 10_000

SECONDS = 5


class NotSeen(Exception):
    """The management API can't be asked; the text says why."""


def missing(queue: Queue) -> Iterator[str]:
    """
    Say that a queue lacks its binding.

    :raises NotSeen: when the API does not answer.
    """
    bound = {(each["source"], each["routing_key"]) for each in _bindings_of(queue.name)}
    if (queue.exchange.name, queue.routing_key) not in bound:
        yield f"{queue.name} is not bound to {queue.exchange.name} by {queue.routing_key}"


def _bindings_of(name: str) -> Any:
    connection = current_app.connection_for_write()
    vhost = quote(connection.virtual_host or "/", safe="")
    base, credentials = _api(connection)
    address = f"{base}/api/queues/{vhost}/{quote(name, safe='')}/bindings"
    try:
        answer = httpx2.get(address, auth=credentials, timeout=SECONDS, trust_env=False)
    except httpx2.HTTPError as error:
        raise NotSeen(f"{type(error).__name__} at {base}") from error
    if answer.status_code != httpx2.codes.OK:
        raise NotSeen(f"{base} answers {answer.status_code}")
    return answer.json()


def _api(connection: Any) -> tuple[str, tuple[str, str]]:
    """Return the API's address and credentials: the setting's, or the broker's own."""
    own = connection.userid or "guest", connection.password or "guest"
    if not settings.RABBITMQ_MANAGEMENT_URL:
        port = (connection.port or 5672) + MANAGEMENT_ABOVE
        return f"http://{connection.hostname}:{port}", own
    parts = urlsplit(settings.RABBITMQ_MANAGEMENT_URL)
    port_words = f":{parts.port}" if parts.port else ""
    base = f"{parts.scheme}://{parts.hostname}{port_words}{parts.path.rstrip('/')}"
    return base, (parts.username or own[0], parts.password or own[1])

"""A dead message on its way from the broker to the alerting task, as JSON, and how to read it."""

import base64
import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from django.utils.dateparse import parse_datetime
from kombu.serialization import loads

from jobs.engine.message import SENT_BY_RELAY
from jobs.engine.shape import fault_of, job_fault_of

#: The reason of a dead letter that the relay sent.
LEDGER = "ledger"

#: Headers that a broker changes from one delivery of the same message to the next.
_CHANGING = frozenset({"x-delivery-count"})

#: Celery's headers that quote a message's arguments.
_TELLING = frozenset({"argsrepr", "kwargsrepr"})

#: Deeper than anybody nests; Python's own limit lies at some hundreds.
LEVELS_MAX = 50
TOO_DEEP = "(nested too deep to be kept)"


def as_json(message: Any) -> dict[str, Any]:
    """Return all of a message that kombu has received, fit for JSON: its body in base64."""
    info = message.delivery_info or {}
    return {
        "body": base64.b64encode(_raw(message)).decode("ascii"),
        "headers": _storable(message.headers or {}),
        "properties": _storable(
            {
                **_without_headers(message.properties or {}),
                "content_type": message.content_type,
                "content_encoding": message.content_encoding,
            }
        ),
        "routing_key": _storable(str(info.get("routing_key") or "")),
        "redelivered": bool(info.get("redelivered")),
        "unpacking": _storable(str(message.errors[0][1])) if message.errors else "",
    }


@dataclass(frozen=True)
class DeadMessage:
    """A dead message; every property copes with whatever somebody may have published."""

    body: bytes
    headers: dict[str, Any]
    properties: dict[str, Any]
    routing_key: str
    redelivered: bool
    unpacking: str = ""  #: What kombu said when it could not decompress the body.

    @classmethod
    def from_json(cls, message: dict[str, Any]) -> "DeadMessage":
        return cls(**{**message, "body": base64.b64decode(message["body"])})

    @property
    def job_id(self) -> uuid.UUID | None:
        try:
            return uuid.UUID(str(self.headers.get("id")))
        except ValueError:
            return None

    @property
    def dispatch(self) -> int:
        """The hand-over it belongs to; a message of another program counts as dispatch 0."""
        number = self.headers.get("dispatch")
        return number if isinstance(number, int) and 0 <= number < 2**31 else 0

    @property
    def type(self) -> str:
        return _text(self.headers.get("task"), 120)

    @property
    def tenant_id(self) -> uuid.UUID | None:
        try:
            return uuid.UUID(str(self.headers.get("tenant_id")))
        except ValueError:
            return None

    @property
    def user_id(self) -> uuid.UUID | None:
        try:
            return uuid.UUID(str(self.headers.get("user_id")))
        except ValueError:
            return None

    @property
    def reason(self) -> str:
        """
        Why the broker dead-lettered it: rejected, expired, delivery_limit, maxlen; or `ledger`.

        From the newest entry of `x-death`: `x-first-death-*` tells of the first death of a
        message that may have had several (measured).
        """
        if self.headers.get(SENT_BY_RELAY) and not self._death:
            return LEDGER
        return _text(self._death.get("reason"), 30) or "unknown"

    @property
    def queue(self) -> str:
        """The queue it died in."""
        return _text(self._death.get("queue"), 255) or self.routing_key.partition(".")[0]

    @property
    def died_at(self) -> datetime | None:
        try:
            moment = parse_datetime(str(self._death.get("time")))
        except ValueError:
            return None
        return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment

    @cached_property
    def fault(self) -> str:
        """What keeps a worker from reading it, in words; nothing where it can be read."""
        if self.unpacking:
            return f"its body can't be unpacked: {self.unpacking}"
        if not self.properties.get("content_type"):
            return "its body can't be read: it has no content type"
        try:
            content = self._content
        except Exception as error:  # Whatever a serialiser makes of somebody's bytes.
            return f"its body can't be read: {error}"
        return fault_of(self.headers, content) or job_fault_of(self.headers, content[2])

    @property
    def payload(self) -> dict[str, Any] | None:
        """The job's payload, where the message is well-formed."""
        return None if self.fault else dict(self._content[1])

    def with_payload(self, payload: dict[str, Any]) -> "DeadMessage":
        """Return the same message with another payload, and with no text of the one it had."""
        read_as = {"content_type": "application/json", "content_encoding": "utf-8"}
        return replace(
            self,
            body=json.dumps([[], payload, {}]).encode(),
            headers={name: self.headers[name] for name in self.headers if name not in _TELLING},
            properties=self.properties | read_as,
            unpacking="",
        )

    @property
    def is_foreign(self) -> bool:
        """Another program sent it: our relay counts its hand-overs."""
        return self.headers.get("dispatch") is None

    @property
    def has_expired(self) -> bool:
        """The broker's time limit, or Celery's own header: a worker rejects what comes too late."""
        try:
            expires = parse_datetime(str(self.headers.get("expires")))
        except ValueError:
            expires = None
        if expires and expires.tzinfo is None:
            expires = expires.replace(tzinfo=UTC)
        return self.reason == "expired" or bool(expires and expires < datetime.now(UTC))

    @property
    def has_positional_arguments(self) -> bool:
        return not self.fault and bool(self._content[0])

    @property
    def has_storable_payload(self) -> bool:
        """Whether PostgreSQL takes its payload: JSON may hold NUL, `NaN` and lone surrogates."""
        return bool(_storable(self.payload) == self.payload)

    @property
    def digest(self) -> str:
        """The same for every delivery of one message, and no other message's."""
        steady = {key: value for key, value in self.headers.items() if key not in _CHANGING}
        facts = json.dumps([steady, self.properties, self.routing_key], sort_keys=True)
        return hashlib.sha256(facts.encode() + self.body).hexdigest()

    @cached_property
    def _content(self) -> Any:
        return loads(
            self.body,
            self.properties.get("content_type") or "",
            self.properties.get("content_encoding") or "utf-8",
            accept=["application/json"],
        )

    @property
    def _death(self) -> dict[str, Any]:
        deaths = self.headers.get("x-death")
        newest = deaths[0] if isinstance(deaths, list) and deaths else None
        return newest if isinstance(newest, dict) else {}


def _without_headers(properties: Mapping[str, Any]) -> dict[str, Any]:
    """kombu keeps the headers among the properties too, with the broker's count of deliveries."""
    return {name: value for name, value in properties.items() if name != "application_headers"}


def _raw(message: Any) -> bytes:
    """Return the body's bytes; py-amqp may have made text of them by the content encoding."""
    if not isinstance(message.body, str):
        return bytes(message.body or b"")
    try:
        return message.body.encode(message.content_encoding or "utf-8")
    except (LookupError, UnicodeError):
        return message.body.encode("utf-8", "surrogateescape")


def _text(value: Any, limit: int) -> str:
    return value[:limit] if isinstance(value, str) else ""


def _storable(value: Any, levels: int = LEVELS_MAX) -> Any:
    """Return what AMQP may carry as JSON that PostgreSQL stores: no bytes, NUL, NaN, surrogate."""
    if not levels:
        return TOO_DEEP
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if value == value and abs(value) != float("inf") else str(value)
        case bytes():
            return {"base64": base64.b64encode(value).decode("ascii")}
        case str():
            visible = value.replace("\0", "\N{SYMBOL FOR NULL}")
            return visible.encode("utf-8", "replace").decode()
        case datetime():
            return value.isoformat()
        case Mapping():
            items = value.items()
            return {_storable(str(key)): _storable(each, levels - 1) for key, each in items}
        case list() | tuple():
            return [_storable(each, levels - 1) for each in value]
        case _:
            return _storable(str(value))

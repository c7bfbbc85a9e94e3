"""Checks what is stored as a payload: JSON, small, without what PostgreSQL refuses."""

import json
import math
from collections.abc import Callable
from typing import Any

from django.conf import settings
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError

from jobs.errors import EnqueueRefused, PayloadRefused, PayloadTooLarge

#: AMQP sends all headers in one frame; a broker's frames have 128 KiB unless it is told otherwise.
HEADERS_MAX_BYTES = 65_536


class Nothing(BaseModel):
    """The payload of a job type that needs none."""


def as_json(payload: BaseModel) -> dict[str, Any]:
    """
    Return the payload as plain JSON values, small enough for the broker.

    :raises PayloadTooLarge: over JOBS_PAYLOAD_MAX_BYTES.
    :raises PayloadRefused: with a NUL character in a text, or a number that JSON doesn't have.
    """
    try:
        text = payload.model_dump_json()
    except PydanticSerializationError as error:  # Half of a surrogate pair: no UTF-8 has it.
        raise PayloadRefused(f"payload: {error}") from None
    size = len(text.encode())
    if size > settings.JOBS_PAYLOAD_MAX_BYTES:
        raise PayloadTooLarge(
            f"payload: {size} bytes; at most {settings.JOBS_PAYLOAD_MAX_BYTES} fit. "
            "Pass ids, not contents."
        )
    if "\\u0000" in text:
        _refuse(payload, _has_nul, "a NUL character, which PostgreSQL can't store")
    if "null" in text:  # What pydantic makes of NaN: the worker would get None in its place.
        _refuse(payload, _is_no_number, "a number that JSON doesn't have")
    values: dict[str, Any] = json.loads(text)
    return values


def message_options(priority: int | None, headers: dict[str, Any] | None) -> dict[str, Any] | None:
    """
    Return what a job keeps of its message beside the payload; None where that is nothing.

    :raises EnqueueRefused: if the priority is not 0 to 255, or the headers are no JSON object.
    """
    if priority is not None and not (isinstance(priority, int) and 0 <= priority <= 255):
        raise EnqueueRefused(f"priority: {priority!r} is not a number from 0 to 255.")
    given = {"priority": priority, "headers": _checked_headers(headers or {})}
    return {name: value for name, value in given.items() if value not in (None, {})} or None


def _checked_headers(headers: Any) -> dict[str, Any]:
    if not isinstance(headers, dict) or not all(isinstance(name, str) for name in headers):
        raise EnqueueRefused(f"headers: not a JSON object: {headers!r:.100}")
    try:
        text = json.dumps(headers, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise EnqueueRefused(f"headers: {error}.") from None
    if len(text) > HEADERS_MAX_BYTES or has_nul(headers):
        raise EnqueueRefused(
            f"headers: at most {HEADERS_MAX_BYTES} bytes of JSON, without NUL characters."
        )
    return headers


def has_nul(value: Any) -> bool:
    """Whether a text in it has a NUL character, which PostgreSQL can't store."""
    return _find(value, _has_nul) is not None


def faults_of(error: ValidationError, whole: str) -> str:
    """Say what doesn't fit a model, field by field, without quoting it; `whole` is its own name."""
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or whole}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_input=False)
    )


def _refuse(payload: BaseModel, is_bad: Callable[[Any], bool], what: str) -> None:
    field = _find(payload.model_dump(), is_bad)
    if field is not None:
        raise PayloadRefused(f"{field or 'payload'}: holds {what}.")


def _has_nul(value: Any) -> bool:
    return isinstance(value, str) and "\0" in value


def _is_no_number(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _find(value: Any, is_bad: Callable[[Any], bool], path: str = "") -> str | None:
    """Return the path of the first bad value, or of what holds a bad key; None if there is none."""
    if is_bad(value):
        return path
    for name, item in _members(value):
        if is_bad(name):
            return path
        found = _find(item, is_bad, f"{path}.{name}" if path else str(name))
        if found is not None:
            return found
    return None


def _members(value: Any) -> Any:
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list | tuple | set | frozenset) else ()

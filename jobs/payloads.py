"""Checks what is stored as a payload: JSON, small, without what PostgreSQL refuses."""

import json
from typing import Any

from django.conf import settings
from pydantic import BaseModel

from jobs.errors import PayloadRefused, PayloadTooLarge


def as_json(payload: BaseModel) -> dict[str, Any]:
    """
    Return the payload as plain JSON values, small enough for the broker.

    :raises PayloadTooLarge: over JOBS_PAYLOAD_MAX_BYTES.
    :raises PayloadRefused: with a NUL character in a text.
    """
    text = payload.model_dump_json()
    size = len(text.encode())
    if size > settings.JOBS_PAYLOAD_MAX_BYTES:
        raise PayloadTooLarge(
            f"payload: {size} bytes; at most {settings.JOBS_PAYLOAD_MAX_BYTES} fit. "
            "Pass ids, not contents."
        )
    values: dict[str, Any] = json.loads(text)
    if "\\u0000" in text:
        field = _field_with_nul(values) or "payload"
        raise PayloadRefused(f"{field}: holds a NUL character, which PostgreSQL can't store.")
    return values


def _field_with_nul(value: Any, path: str = "") -> str | None:
    if isinstance(value, str):
        return path if "\0" in value else None
    pairs = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for name, item in pairs:
        if "\0" in str(name):
            return path or "payload"
        found = _field_with_nul(item, f"{path}.{name}" if path else str(name))
        if found:
            return found
    return None

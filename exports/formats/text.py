"""Turns Python's values into the text that PostgreSQL makes of the same values."""

import json
import math
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any


def float_text(value: float) -> str:
    if math.isfinite(value):
        return repr(value).removesuffix(".0")
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def decimal_text(value: Decimal) -> str:
    return format(value, "f")


def time_text(value: time) -> str:
    """Return `12:30:00` or, with a fraction of a second, as many digits as it needs."""
    text = value.replace(tzinfo=None).isoformat()
    return text.rstrip("0") if "." in text else text


def datetime_parts(value: datetime) -> tuple[str, str]:
    """Return the date and the time in UTC. A value without a zone is in UTC already."""
    if value.tzinfo is not None:
        value = value.astimezone(UTC)
    return value.date().isoformat(), time_text(value.time())


def json_text(stored: str) -> str:
    """Return a JSON document as `jsonb` would print it, from the text that SQLite keeps."""
    return _jsonb(json.loads(stored, parse_float=Decimal))


def _jsonb(value: Any) -> str:
    match value:
        case dict():
            members = sorted(value.items(), key=lambda member: _key_order(member[0]))
            return "{" + ", ".join(f"{_jsonb(key)}: {_jsonb(of)}" for key, of in members) + "}"
        case list():
            return "[" + ", ".join(map(_jsonb, value)) + "]"
        case Decimal():
            return decimal_text(value)
    return json.dumps(value, ensure_ascii=False)


def _key_order(key: str) -> tuple[int, bytes]:
    """Return what `jsonb` sorts keys by: first their length, then their bytes."""
    encoded = key.encode()
    return len(encoded), encoded

"""Reads what a request sends, and refuses what could not be stored."""

import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn

from django.conf import settings
from django.http import HttpRequest
from ninja.parser import Parser

from jobs.http import Fault, Problem


class StrictParser(Parser):
    """Refuses a body that is too large, is no strict JSON, or holds text no database takes."""

    def parse_body(self, request: HttpRequest) -> Any:
        """:raises Problem: 413, 400 or 422."""
        _refuse_large(request.body)
        try:
            document = json.loads(request.body, parse_constant=_refuse_constant)
            faults = list(_unstorable(document))
        except (ValueError, RecursionError) as error:
            detail = f"The body is not JSON: {error}."
            raise Problem(400, "Invalid JSON", detail, field="body") from error
        _refuse(faults)
        return document

    def parse_querydict(self, data: Any, list_fields: list[str], request: HttpRequest) -> Any:
        """:raises Problem: 422."""
        values = super().parse_querydict(data, list_fields, request)
        _refuse(list(_unstorable(values)))
        return values


def _refuse(faults: list[Fault]) -> None:
    if faults:
        detail = f"{faults[0]['field']}: {faults[0]['detail']}"
        raise Problem(422, "Invalid request", detail, errors=faults)


def _refuse_large(body: bytes) -> None:
    most = settings.JOBS_PAYLOAD_MAX_BYTES
    if len(body) > most:
        detail = f"The body has {len(body)} bytes; at most {most} are accepted."
        raise Problem(413, detail=detail, field="body")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _unstorable(value: Any, path: str = "") -> Iterator[Fault]:
    """Yield each text or number that can't be stored, by the path of its field."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _unstorable(name, path)
            yield from _unstorable(item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unstorable(item, f"{path}.{index}" if path else str(index))
    elif isinstance(value, str):
        if "\0" in value:
            yield Fault(field=_printable(path), detail="holds a NUL character")
        elif not value.isascii() and _has_surrogate(value):
            yield Fault(field=_printable(path), detail="holds half a surrogate pair")
    elif isinstance(value, float) and not math.isfinite(value):
        yield Fault(field=_printable(path), detail="is too large for a number")


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _printable(path: str) -> str:
    return path.encode("ascii", "backslashreplace").decode() or "body"

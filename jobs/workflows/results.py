"""Makes what a step leaves behind storable: plain JSON that PostgreSQL takes, of a size to read."""

import json
from typing import Any

from django.conf import settings
from pydantic import BaseModel

from jobs import payloads
from jobs.workflows.errors import ResultRefused

#: What serialising raises: of another type, half of a surrogate pair, nested without end.
UNSTORABLE = (TypeError, ValueError, RecursionError)


def storable(value: Any, what: str) -> Any:
    """
    Return an output, a state or a branch's input as plain JSON values; `what` names it in errors.

    :raises ResultRefused: if it has something that JSON or PostgreSQL doesn't, or is over
        JOBS_WORKFLOWS_RESULT_MAX_BYTES: each look at the workflow would read it.
    """
    try:
        plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        text = json.dumps(plain, allow_nan=False, ensure_ascii=False).encode()
    except UNSTORABLE as error:
        raise ResultRefused(f"{what} can't be stored: {error}") from None
    most = settings.JOBS_WORKFLOWS_RESULT_MAX_BYTES
    if len(text) > most:
        raise ResultRefused(
            f"{what} has {len(text)} bytes; at most {most} are stored. Keep ids, not contents."
        )
    if payloads.has_nul(plain):
        raise ResultRefused(f"{what} holds a NUL character, which PostgreSQL can't store.")
    return plain

"""What a task message of Celery's protocol 2 has to look like, and a job's beyond that."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from django.utils.dateparse import parse_datetime

#: What Celery would do after a task; the ledger has no place for it, so it would be lost.
_AFTERWARDS = ("callbacks", "errbacks", "chain", "chord")


def fault_of(headers: Any, content: Any) -> str:
    """
    Return what is wrong with a message whose body says `content`, in words; nothing if it is right.

    Celery itself runs nothing, loses the message or ends the worker for some of these (measured).
    """
    if not isinstance(headers, Mapping) or not isinstance(headers.get("task"), str):
        return "its header `task` names no task"
    if not isinstance(headers.get("id"), str):
        return "its header `id` is missing"
    if not _is_time_limit(headers.get("timelimit")):
        return "its header `timelimit` is no pair of seconds"
    if not isinstance(content, list | tuple) or len(content) != 3:
        return "its body is not [args, kwargs, embed]"
    args, kwargs, embed = content
    if not isinstance(args, list | tuple):
        return "its positional arguments are no list"
    if not isinstance(kwargs, Mapping) or not all(isinstance(name, str) for name in kwargs):
        return "its keyword arguments are no mapping"
    if embed is not None and not isinstance(embed, Mapping):
        return "its third part is no mapping"
    return ""


def job_fault_of(headers: Mapping[str, Any], embed: Mapping[str, Any] | None) -> str:
    """Return what keeps a well-formed message from being a job's, in words; nothing if it is."""
    for name, (kind, fits) in _JOB_HEADERS.items():
        value = headers.get(name)
        if value is not None and not fits(value):
            return f"its header `{name}` is no {kind}"
    for name in _AFTERWARDS:
        if headers.get(name) or (embed or {}).get(name):
            return f"its {name} can't be kept in the ledger"
    return ""


def _is_time_limit(value: Any) -> bool:
    pair = isinstance(value, list | tuple) and len(value) == 2
    return not value or (pair and all(not each or _is_number(each) for each in value))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def _is_uuid(value: Any) -> bool:
    try:
        return bool(uuid.UUID(value)) if isinstance(value, str) else False
    except ValueError:
        return False


def _is_count(value: Any) -> bool:
    return _is_number(value) and isinstance(value, int) and value < 2**31


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and parse_datetime(value) is not None
    except ValueError:
        return False


_JOB_HEADERS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "id": ("UUID", _is_uuid),
    "tenant_id": ("UUID", _is_uuid),
    "user_id": ("UUID", _is_uuid),
    "dispatch": ("number", _is_count),
    "eta": ("time", _is_time),
    "expires": ("time", _is_time),
}

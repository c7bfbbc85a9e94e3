"""What a task message of Celery's protocol 2 has to look like."""

from collections.abc import Mapping
from typing import Any


def fault_of(headers: Any, content: Any) -> str:
    """
    Return what is wrong with a message whose body says `content`, in words; nothing if it is right.

    Celery itself runs nothing, loses the message or ends the worker for some of these (measured).
    """
    if not isinstance(headers, Mapping) or not isinstance(headers.get("task"), str):
        return "its header `task` names no task"
    if not isinstance(headers.get("id"), str):
        return "its header `id` is missing"
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

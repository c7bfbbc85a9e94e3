"""Waits for what other processes bring about."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(
    predicate: Callable[[], T], seconds: float, what: str, *, every_seconds: float = 0.1
) -> T:
    """
    Return the first true value of `predicate()`.

    The limit is a safety net, not an expectation: choose it many times the usual duration.

    :raises AssertionError: if there is none in time; it says `what` was waited for.
    """
    deadline = time.monotonic() + seconds
    while not (value := predicate()):
        if time.monotonic() > deadline:
            raise AssertionError(f"Not within {seconds:.0f} s: {what}. Last seen: {value!r}")
        time.sleep(every_seconds)
    return value

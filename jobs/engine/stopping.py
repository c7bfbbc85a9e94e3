"""Tells a worker's child that its worker stops, so that it hands its job over."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

#: Used by nothing else: Celery ends children that meet a time limit or a revoke with other signals.
STOP_SIGNAL = "USR2"


class WorkerStops(BaseException):
    """Raised wherever the job's code is. No `Exception`, so that no task code catches it."""


class _Child:
    """The state of this process; a prefork child runs one job at a time, in its main thread."""

    interruptible = False
    told_to_stop = False


def listen(**_: Any) -> None:
    """Take the signal, in a new child. Connected to Celery's `worker_process_init`."""
    _Child.told_to_stop = _Child.interruptible = False
    signal.signal(signal.SIGUSR2, _stop)


@contextmanager
def interruptible() -> Iterator[None]:
    """
    Let the stop signal cut the block short.

    :raises WorkerStops: when the signal comes, or has come before.
    """
    _Child.interruptible = True
    try:
        if _Child.told_to_stop:
            raise WorkerStops
        yield
    finally:
        _Child.interruptible = False


def _stop(*_: Any) -> None:
    _Child.told_to_stop = True
    if _Child.interruptible:
        _Child.interruptible = False  # A second signal must not cut the hand-over short.
        raise WorkerStops

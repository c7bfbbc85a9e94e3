"""Interrupts the job that a worker's child runs: its worker stops, or the job is its no more."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jobs.models import Job

#: Used by nothing else: Celery ends children that meet a time limit or a revoke with other signals.
STOP_SIGNAL = "USR2"


class Interrupted(BaseException):
    """Raised wherever the job's code is. No `Exception`, so that no task code catches it."""


class _Child:
    """The state of this process; a prefork child runs one job at a time, in its main thread."""

    listening = False
    running: str | None = None  #: The id of the job that may be interrupted.
    refused: str | None = None  #: The id of the job that the heartbeat was refused for.
    interrupted = False  #: Whether the signal has cut the present delivery short.
    stopping = False


def listen(**_: Any) -> None:
    """Take the signal, in a new child. Connected to Celery's `worker_process_init`."""
    _Child.running = _Child.refused = None
    _Child.stopping = False
    _Child.listening = True
    signal.signal(signal.SIGUSR2, _interrupt)


@contextmanager
def interruptible(job_id: str) -> Iterator[None]:
    """
    Let the signal cut the block short.

    :raises Interrupted: when it comes, or when the worker was told to stop before.
    """
    _Child.running = job_id
    _Child.interrupted = False
    try:
        if _Child.stopping:
            raise Interrupted
        yield
    finally:
        _Child.running = None


def raise_what_was_hidden() -> None:
    """
    Call this before an error is taken for the job's own.

    :raises Interrupted: if the signal came before it. What a cut statement leaves behind makes the
        end of a transaction fail, with an error that takes the place of ours.
    """
    if _Child.interrupted:
        raise Interrupted


def refuse(job: Job) -> None:
    """Interrupt this job if this child runs it; the heartbeat's thread has lost its lease."""
    if _Child.listening:
        _Child.refused = str(job.pk)
        os.kill(os.getpid(), signal.SIGUSR2)


def _interrupt(*_: Any) -> None:
    """The signal says nothing but "look": whether for the worker's stop, or for one job."""
    running, refused, _Child.refused = _Child.running, _Child.refused, None
    _Child.stopping = _Child.stopping or refused is None
    if running and (_Child.stopping or running == refused):
        _Child.running = None  # Once: what follows must not be cut short again.
        _Child.interrupted = True
        raise Interrupted

"""Runs a coroutine to its end, and lets through what a signal raises meanwhile."""

import asyncio
import signal
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class _Broken:
    """A coroutine's end by an error, kept from asyncio."""

    error: BaseException


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """
    Do as `asyncio.run` does, but lose no exception that a signal raises in between.

    Time limits and stops arrive as exceptions wherever the main thread is. Raised in a callback
    of the loop, asyncio would log them and go on; raised in a task group, they would come in a
    group that nobody expects.
    """
    lost: list[BaseException] = []
    try:
        end = asyncio.run(_watched(coroutine, lost))
    finally:
        if lost:  # Whatever else came of it; it may have come while the loop was being closed.
            raise lost[0]
    if isinstance(end, _Broken):
        raise _first(end.error)
    return end


async def _watched(coroutine: Coroutine[Any, Any, T], lost: list[BaseException]) -> T | _Broken:
    """Return errors: one that ends the loop, such as SystemExit, asyncio would raise twice."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def keep(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not _is_from_callback(context):
            loop.default_exception_handler(context)
            return
        lost.append(context["exception"])
        if task:
            task.cancel()

    loop.set_exception_handler(keep)
    try:
        with _woken_by_signals(loop):
            return await coroutine
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        return _Broken(error)


def _is_from_callback(context: dict[str, Any]) -> bool:
    """Say whether asyncio tells of an error in a callback, of the loop's or of a transport's."""
    if "exception" not in context:
        return False
    if "handle" in context:
        return True
    of_transport = "transport" in context or "protocol" in context
    # An OSError is the connection's own, of which whoever reads from it hears.
    return of_transport and not isinstance(context["exception"], OSError)


@contextmanager
def _woken_by_signals(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """
    Let every signal end the loop's wait.

    One that comes a moment before the wait begins, or to another thread, would else be noticed
    when the wait ends: after the deadline.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # Signals are handled in the main thread alone.
        return
    ours, kernels = socket.socketpair()
    with ours, kernels:
        ours.setblocking(False)
        kernels.setblocking(False)
        loop.add_reader(ours, ours.recv, 4_096)
        before = signal.set_wakeup_fd(kernels.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            loop.remove_reader(ours)


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

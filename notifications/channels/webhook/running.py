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
    end = asyncio.run(_watched(coroutine))
    if isinstance(end, _Broken):
        raise _first(end.error)
    return end


async def _watched(coroutine: Coroutine[Any, Any, T]) -> T | _Broken:
    """Return errors: one that ends the loop, such as SystemExit, asyncio would raise twice."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    lost: list[BaseException] = []

    def keep(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "handle" not in context or "exception" not in context:  # Not from a callback.
            loop.default_exception_handler(context)
            return
        lost.append(context["exception"])
        if task:
            task.cancel()

    loop.set_exception_handler(keep)
    try:
        with _woken_by_signals(loop):
            result = await coroutine
    except asyncio.CancelledError:
        if not lost:
            raise
    except BaseException as error:
        return _Broken(lost[0] if lost else error)
    return _Broken(lost[0]) if lost else result


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

"""Runs a coroutine to its end, and lets through what a signal raises meanwhile."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """
    Do as `asyncio.run` does, but lose no exception that a signal raises in between.

    Time limits and stops arrive as exceptions wherever the main thread is. Raised in a callback
    of the loop, asyncio would log them and go on; raised in a task group, they would come in a
    group that nobody expects.
    """
    try:
        return asyncio.run(_watched(coroutine))
    except BaseExceptionGroup as group:
        raise _first(group) from None


async def _watched(coroutine: Coroutine[Any, Any, T]) -> T:
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
        return await coroutine
    finally:
        if lost:
            raise lost[0]


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

"""Asks the system for a host's addresses without letting it outlive the one who asked."""

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

#: From a host and a port to the host's addresses; may block.
Resolver = Callable[[str, int], Sequence[str]]


def system_resolver(host: str, port: int) -> Sequence[str]:
    """
    Return the addresses of a host, each once, in the system's order.

    :raises OSError: if it has none, or no name server answers.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def resolve_apart(resolve: Resolver, host: str, port: int) -> Sequence[str]:
    """
    Return what `resolve` does, from a daemon thread of its own.

    Not in the loop's executor: `asyncio.run` waits for its threads when it ends, so a name
    server that hangs would hold the caller past its deadline.

    :raises Exception: whatever `resolve` raises.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Sequence[str]] = loop.create_future()

    def ask() -> None:
        try:
            found = resolve(host, port)
        except Exception as error:
            _tell(loop, answer, error)
        else:
            _tell(loop, answer, found)

    threading.Thread(target=ask, name="webhook-resolver", daemon=True).start()
    return await answer


def _tell(
    loop: asyncio.AbstractEventLoop,
    answer: asyncio.Future[Sequence[str]],
    result: Sequence[str] | Exception,
) -> None:
    with suppress(RuntimeError):  # The loop is closed: who asked gave up long ago.
        loop.call_soon_threadsafe(_settle, answer, result)


def _settle(answer: asyncio.Future[Sequence[str]], result: Sequence[str] | Exception) -> None:
    if answer.done():  # Cancelled by the deadline a moment ago.
        return
    if isinstance(result, Exception):
        answer.set_exception(result)
    else:
        answer.set_result(result)

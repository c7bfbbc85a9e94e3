"""Connects to a mail server, its name's lookup included, within a deadline."""

import queue
import socket
import threading
from typing import Any

from notifications.channels.email.deadline import Deadline, DeadlineOver


class OutOfReach(ConnectionError):
    """There is no way to the mail server: no name, address, route or trust. Another may open."""


def connect(
    host: str, port: int, *, timeout_seconds: float | None, deadline: Deadline
) -> socket.socket:
    """
    Return a connection whose every read and write may take `timeout_seconds`.

    :raises DeadlineOver: if the deadline was over before the name was found.
    :raises OSError: if there is no such name, or the last of its addresses can't be reached.
    """
    fault: OSError | None = None
    for family, kind, protocol, _, address in _look_up(host, port, deadline):
        connection = socket.socket(family, kind, protocol)
        try:
            left = deadline.remaining()
            connection.settimeout(left if timeout_seconds is None else min(left, timeout_seconds))
            connection.connect(address)
            return connection
        except OSError as error:
            connection.close()
            fault = error
        except BaseException:  # Of a signal.
            connection.close()
            raise
        if deadline.over:
            break
    raise fault or OSError(f"The mail server's name {host} has no address.")


def _look_up(host: str, port: int, deadline: Deadline) -> list[Any]:
    """Ask for the addresses on a thread of its own: the system's resolver knows no time limit."""
    answers: queue.SimpleQueue[list[Any] | OSError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers.put(list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
        except OSError as error:
            answers.put(error)
        except UnicodeError:
            answers.put(OSError("The mail server's name can be no name."))

    threading.Thread(target=ask, name="mail-server-lookup", daemon=True).start()
    try:
        answer = answers.get(timeout=deadline.remaining())
    except queue.Empty:
        raise DeadlineOver(deadline.seconds) from None
    if isinstance(answer, OSError):
        raise answer
    return answer

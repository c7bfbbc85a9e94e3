"""A receiver of webhooks that hangs until it is released, and counts who is there at once."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from project.services.ports import LOOPBACK

#: Linux's first byte of `struct tcp_info`: a connection that neither side has closed.
ESTABLISHED = 1

ANSWER = b"HTTP/1.1 204 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class CrowdedReceiver:
    """Answers nobody before `release`; afterwards everybody at once."""

    def __init__(self) -> None:
        self._listener = socket.create_server((LOOPBACK, 0), backlog=512)
        self._there: list[socket.socket] = []
        self._released, self._closing = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self.most_at_once = 0
        self.begun: list[str] = []  #: The `webhook-id` of each request, as it came.
        self.answered: list[str] = []  #: Of those that got an answer.
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self._listener.getsockname()[1]}/"

    def release(self) -> None:
        self._released.set()

    def close(self) -> None:
        self._closing.set()
        self._released.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            if not select.select([self._listener], [], [], 0.1)[0]:
                continue
            connection, _ = self._listener.accept()
            # The kernel knows at once who has hung up: no thread of ours has to notice it first.
            self._there = [*filter(_is_there, self._there), connection]
            self.most_at_once = max(self.most_at_once, len(self._there))
            thread = threading.Thread(target=self._serve, args=[connection])
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            message_id = _read_id(connection)
            with self._lock:
                self.begun.append(message_id)
            while _is_there(connection):
                if self._released.wait(0.05):
                    # Noted first: whoever has the answer may look here.
                    with self._lock:
                        self.answered.append(message_id)
                    connection.sendall(ANSWER)
                    return


def _is_there(connection: socket.socket) -> bool:
    """Tell whether neither side has closed it: a client that hangs up has, before it comes back."""
    if connection.fileno() == -1:
        return False
    state = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)
    return state[0] == ESTABLISHED


def _read_id(connection: socket.socket) -> str:
    """Read a whole request, and return its `webhook-id`."""
    with connection.makefile("rb") as stream:
        headers = {}
        stream.readline()
        while line := stream.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        stream.read(int(headers["content-length"]))
    return headers["webhook-id"]


@contextmanager
def crowded_receiver() -> Iterator[CrowdedReceiver]:
    """Serve while the block lasts."""
    receiver = CrowdedReceiver()
    try:
        yield receiver
    finally:
        receiver.close()

"""A real HTTP receiver of webhooks on loopback: it answers as a test tells it, well or badly."""

import contextlib
import gzip
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import BinaryIO

TLS_HANDSHAKE = b"\x16"  #: The first byte of a client that speaks TLS.
PIECE = b"." * 65_536
ENDLESS_BYTES = 10_000_000_000
BOMB = gzip.compress(b"0" * 20_000_000)  #: 20 KB that unpack to 20 MB.


@dataclass(frozen=True)
class Received:
    """A request as it came."""

    path: str
    headers: dict[str, str]  #: Names in small letters.
    body: bytes
    received_at: datetime


@dataclass(frozen=True)
class Scripted:
    """An answer with more to it than its status."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


#: A status, a whole answer, or the name of a behaviour in `_BEHAVIOURS`.
Script = int | Scripted | str


class WebhookReceiver:
    """Serves every connection in a thread of its own; its lists may be read while it does."""

    def __init__(
        self,
        host: str,
        port: int,
        answers: Sequence[Script],
        default: Script,
        tls: ssl.SSLContext | None,
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, port), family=family, backlog=128)
        self.host = host
        self.port: int = self._listener.getsockname()[1]
        self.answers = list(answers)  #: Of the next requests, in order; then `default` for ever.
        self.default = default
        self.requests: list[Received] = []  #: In the order in which they came.
        self.connections = 0  #: Accepted, whether or not a request came.
        self.bytes_sent = 0  #: Of endless answers.
        self.server_names: list[str | None] = []  #: What TLS clients asked for (SNI).
        self._tls = tls
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        if tls:
            tls.sni_callback = lambda _, name, __: self.server_names.append(name)
        self._start(self._accept)

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}/hooks"

    def release(self) -> None:
        """Let what hangs or drips end."""
        self._released.set()

    def wait_released(self, seconds: float | None = None) -> bool:
        return self._released.wait(seconds)

    def count_sent(self, piece: bytes) -> None:
        with self._lock:
            self.bytes_sent += len(piece)

    def close(self) -> None:
        """End every connection, and return when no thread is left."""
        self._released.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # Wakes `accept`; closing alone does not.
        self._listener.close()
        with self._lock:
            still_open = list(self._open)
        for connection in still_open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _start(self, target: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._open.add(connection)
            self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        # Clients break off as they like, and tests make them.
        with contextlib.suppress(OSError, ValueError), connection:
            if self._tls:
                self._open.discard(connection)
                with self._tls.wrap_socket(connection, server_side=True) as encrypted:
                    self._open.add(encrypted)
                    self._converse(encrypted)
            else:
                self._converse(connection)

    def _converse(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            if stream.peek(1).startswith(TLS_HANDSHAKE):
                connection.sendall(_head(400, {}))  # As servers do that were asked for http.
                return
            request = _read_request(stream)
        with self._lock:
            self.requests.append(request)
            script = self.answers.pop(0) if self.answers else self.default
        _answer(script, self, connection)


@contextmanager
def webhook_receiver(
    *,
    answers: Sequence[Script] = (),
    default: Script = 200,
    tls: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> Iterator[WebhookReceiver]:
    """Serve while the block lasts; what hangs is released at its end."""
    receiver = WebhookReceiver(host, port, answers, default, tls)
    try:
        yield receiver
    finally:
        receiver.close()


def _read_request(stream: BinaryIO) -> Received:
    _, path, _ = stream.readline().decode("latin-1").split(" ", 2)
    headers = {}
    while line := stream.readline().strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", 0)))
    return Received(path, headers, body, datetime.now(UTC))


# --- Answers -------------------------------------------------------------------------------------


def _answer(script: Script, receiver: WebhookReceiver, connection: socket.socket) -> None:
    if isinstance(script, str):
        _BEHAVIOURS[script](receiver, connection)
    else:
        answer = script if isinstance(script, Scripted) else Scripted(script)
        length = {"Content-Length": str(len(answer.body))}
        head = _head(
            answer.status, dict(answer.headers) if _frames(answer) else {**length, **answer.headers}
        )
        connection.sendall(head + answer.body)


def _frames(answer: Scripted) -> bool:
    """Say whether the headers themselves tell where the body ends."""
    return any(name.lower() == "transfer-encoding" for name in answer.headers)


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{k}: {v}" for k, v in headers.items())]
    return ("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode("latin-1")


def _reset(_: WebhookReceiver, connection: socket.socket) -> None:
    """Linger for no time: the kernel sends RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _hang(receiver: WebhookReceiver, _: socket.socket) -> None:
    receiver.wait_released()


def _drip(receiver: WebhookReceiver, connection: socket.socket) -> None:
    connection.sendall(_head(200, {"Content-Length": "1000000"}))
    while not receiver.wait_released(1):
        connection.sendall(b".")


def _drip_headers(receiver: WebhookReceiver, connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not receiver.wait_released(1):
        connection.sendall(b".")


def _send_for_ever(receiver: WebhookReceiver, connection: socket.socket, piece: bytes) -> None:
    while receiver.bytes_sent < ENDLESS_BYTES:
        connection.sendall(piece)
        receiver.count_sent(piece)


def _endless(receiver: WebhookReceiver, connection: socket.socket) -> None:
    connection.sendall(_head(200, {"Content-Length": str(ENDLESS_BYTES)}))
    _send_for_ever(receiver, connection, PIECE)


def _endless_chunks(receiver: WebhookReceiver, connection: socket.socket) -> None:
    connection.sendall(_head(200, {"Transfer-Encoding": "chunked"}))
    _send_for_ever(receiver, connection, b"%x\r\n%b\r\n" % (len(PIECE), PIECE))


def _endless_line(receiver: WebhookReceiver, connection: socket.socket) -> None:
    _send_for_ever(receiver, connection, PIECE)


def _headers_without_end(receiver: WebhookReceiver, connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    _send_for_ever(receiver, connection, b"X-More: of the same\r\n" * 1_000)


def _storm(receiver: WebhookReceiver, connection: socket.socket) -> None:
    _send_for_ever(receiver, connection, b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" * 1_000)


def _gzip_bomb(_: WebhookReceiver, connection: socket.socket) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Length": str(len(BOMB))}
    connection.sendall(_head(200, headers) + BOMB)


def _switch(receiver: WebhookReceiver, connection: socket.socket) -> None:
    connection.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"
    )
    receiver.wait_released(1)


def _garbage(_: WebhookReceiver, connection: socket.socket) -> None:
    connection.sendall(b"\x16\x03\x01 <script>\x00 no HTTP at all\r\n\r\n")


def _cut(_: WebhookReceiver, connection: socket.socket) -> None:
    connection.sendall(_head(200, {"Content-Length": "1000"}) + b"half")


def _nothing(_: WebhookReceiver, __: socket.socket) -> None:
    """Close without a word."""


_BEHAVIOURS: dict[str, Callable[[WebhookReceiver, socket.socket], None]] = {
    "reset": _reset,
    "hang": _hang,
    "drip": _drip,
    "drip_headers": _drip_headers,
    "endless": _endless,
    "endless_chunks": _endless_chunks,
    "endless_line": _endless_line,
    "headers_without_end": _headers_without_end,
    "storm": _storm,
    "gzip_bomb": _gzip_bomb,
    "switch": _switch,
    "garbage": _garbage,
    "cut": _cut,
    "nothing": _nothing,
}

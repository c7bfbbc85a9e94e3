"""A TCP proxy between the product and a server, whose connections a test can cut or swallow."""

import contextlib
import socket
import struct
import threading

from project.services.ports import LOOPBACK

#: Makes `close` send RST instead of FIN, as a lost machine's successor would.
RESET = struct.pack("ii", 1, 0)
CHUNK_BYTES = 65_536


class Proxy:
    """Listens on a free loopback port and passes everything on to another one."""

    def __init__(self, target_port: int) -> None:
        self._target = (LOOPBACK, target_port)
        self._server = socket.create_server((LOOPBACK, 0), backlog=128)
        self.port: int = self._server.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._passing = threading.Event()
        self._passing.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Reset every connection."""
        with self._lock:
            doomed, self._open = self._open, set()
        for each in doomed:
            _reset(each)

    def swallow(self) -> None:
        """Pass nothing on until `pass_on`: connections stay open, and say nothing."""
        self._passing.clear()

    def pass_on(self) -> None:
        self._passing.set()

    def close(self) -> None:
        self._passing.set()
        self._server.close()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target, timeout=5)
        except OSError:
            _reset(client)
            return
        server.settimeout(None)
        with self._lock:
            self._open |= {client, server}
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                self._passing.wait()
                sink.sendall(data)
        for each in (source, sink):
            with self._lock:
                self._open.discard(each)
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()

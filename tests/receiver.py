"""A real HTTP receiver on loopback, for alerts: it answers as a test tells it, and keeps bodies."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statuses: list[int] = []  #: Of the next answers; then 200 for ever.
        self.drip_seconds = 0.0  #: Between two bytes of an answer that never ends.
        self.bodies: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}/alerts"


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.bodies.append(json.loads(self.rfile.read(length)))
        self.server.keys.append(self.headers["Idempotency-Key"])
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        self.send_response(status)
        if status in (301, 302):
            self.send_header("Location", self.server.url)
        self.send_header("Content-Length", "1000000" if self.server.drip_seconds else "0")
        self.end_headers()
        while self.server.drip_seconds:
            self.wfile.write(b".")
            time.sleep(self.server.drip_seconds)

    def log_message(self, *_: Any) -> None:
        return


@contextmanager
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.drip_seconds = 0
        server.shutdown()
        server.server_close()

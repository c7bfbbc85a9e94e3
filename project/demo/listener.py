"""An outside system that the tour tells of events: it checks each signature and keeps the body."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

from project.services.ports import LOOPBACK

LOOK_EVERY_SECONDS = 0.05


class Listener(ThreadingHTTPServer):
    """Refuses its first delivery, as a receiver does that is being deployed."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((LOOPBACK, 0), _Answering)
        self.url = f"http://{LOOPBACK}:{self.server_port}/hooks"
        self.secret = ""
        self.refused: list[str] = []  #: The webhook-ids that were answered 503.
        self.accepted: list[tuple[str, dict[str, Any]]] = []

    def wait_for_refused(self, *, seconds: float) -> dict[str, Any] | None:
        """Return the event that was refused first, once it has come again and was accepted."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for name, event in self.accepted:
                if name in self.refused:
                    return event
            time.sleep(LOOK_EVERY_SECONDS)
        return None


class _Answering(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        name = self.headers["webhook-id"]
        try:
            event = Webhook(self.server.secret).verify(body, dict(self.headers))
        except WebhookVerificationError:
            self._answer(401)
            return
        if not self.server.refused:
            self.server.refused.append(name)
            self._answer(503)
            return
        self.server.accepted.append((name, event))
        self._answer(200)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        if status == 503:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return


@contextmanager
def listener() -> Iterator[Listener]:
    server = Listener()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()

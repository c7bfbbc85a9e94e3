"""The threads of the embedded profile: web, relay, worker and scheduler."""

import socket
import threading
from collections.abc import Callable
from typing import Any

from celery import Celery, beat
from celery.worker import WorkController, state
from django.core.servers.basehttp import (
    ThreadedWSGIServer,
    WSGIRequestHandler,
    get_internal_wsgi_application,
)
from django.db import connection

from jobs import log_events
from jobs.engine.daemon import RelayDaemon
from jobs.engine.embedded.threads import Threads
from jobs.engine.publisher import Publisher


class Part(threading.Thread):
    """A thread that works until it is told to stop, and reports when it has ended."""

    def __init__(self, name: str, on_end: Callable[["Part"], None]) -> None:
        # A daemon: a part that hangs must not keep the process from ending.
        super().__init__(name=name, daemon=True)
        self._on_end = on_end

    def run(self) -> None:
        try:
            self.work()
        except Exception as error:
            log_events.part_failed(self.name, error)
        finally:
            connection.close()
            self._on_end(self)

    def work(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        """Ask it to stop; does not wait."""
        raise NotImplementedError


class _Server(ThreadedWSGIServer):
    request_queue_size = 128  # Django's 10 refuses the eleventh of many at once.


class Web(Part):
    """Django's threaded server on the loopback interface; it listens from the first moment."""

    def __init__(self, port: int, on_end: Callable[[Part], None]) -> None:
        super().__init__("web", on_end)
        self._server = _Server(("127.0.0.1", port), WSGIRequestHandler)
        self._server.set_app(get_internal_wsgi_application())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def work(self) -> None:
        self._server.serve_forever(poll_interval=0.1)
        self._server.server_close()

    def stop(self) -> None:
        self._server.shutdown()


class Relay(Part):
    def __init__(self, publisher: Publisher, on_end: Callable[[Part], None]) -> None:
        super().__init__("relay", on_end)
        self._stopping = threading.Event()
        self._daemon = RelayDaemon(publisher, self._stopping)

    def work(self) -> None:
        self._daemon.run()

    def stop(self) -> None:
        self._stopping.set()


class Worker(Part):
    """A Celery worker whose pool is threads: no time limits, and no child to lose."""

    def __init__(self, app: Celery, threads: int, on_end: Callable[[Part], None]) -> None:
        super().__init__("worker", on_end)
        _tell_worker(None)
        self._controller: Any = WorkController(
            app=app,
            hostname=f"embedded@{socket.gethostname()}",
            pool_cls=Threads,
            concurrency=threads,
            task_events=False,  # Nobody outside this process could receive them.
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        )

    def work(self) -> None:
        self._controller.start()

    def stop(self) -> None:
        """Take no more messages; the thread ends with the last running job."""
        _tell_worker(0)


def _tell_worker(exit_code: int | None) -> None:
    """Celery's worker looks at this at every turn of its loop; None lets it go on."""
    state.should_stop = exit_code  # type: ignore[assignment]


class Scheduler(Part):
    """Celery beat with the scheduler of the settings."""

    def __init__(self, app: Celery, on_end: Callable[[Part], None]) -> None:
        super().__init__("scheduler", on_end)
        # It sleeps for at most a second, so that it can be told to stop.
        self._service = beat.Service(app, max_interval=1, scheduler_cls=app.conf.beat_scheduler)

    def work(self) -> None:
        self._service.start()

    def stop(self) -> None:
        self._service.stop()

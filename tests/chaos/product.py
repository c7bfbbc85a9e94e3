"""The product under test: its processes, and a supervisor that starts what has died."""

import contextlib
import sys
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

from project.services import ServiceFailed
from project.services.ports import LOOPBACK
from tests.chaos.proxy import Proxy
from tests.harness import exporting
from tests.harness.processes import Process, Web, Worker
from tests.harness.system import System

#: Rows of each tenant: an export of them takes some 20 ms.
ITEMS = 300

LOOK_SECONDS = 0.3

#: Short, so that a run takes minutes; their proportions are those of the defaults.
SETTINGS = {
    "JOBS_LEASE_SECONDS": "8",
    "JOBS_HEARTBEAT_SECONDS": "1",
    "JOBS_RECOVERY_INTERVAL_SECONDS": "3",
    "JOBS_STALL_AFTER_SECONDS": "4",
    "JOBS_COPY_INTERVAL_SECONDS": "15",
    "JOBS_RETRY_BASE_SECONDS": "1",
    "JOBS_DEAD_LETTER_AFTER_SECONDS": "15",
    "JOBS_BROKER_TIMEOUT_SECONDS": "5",
    "EXPORTS_IN_FLIGHT_MAX": "50",
    "NOTIFICATIONS_TRUSTED_NETWORKS": "127.0.0.0/8",  # Where the receiver of webhooks is.
    "LOG_LEVEL": "INFO",
}

LANES = ("jobs", "notifications", "timers", "alerts", "jobs.dead_letters")


class Product:
    """Gunicorn, relay, two workers and beat, which reach their servers through proxies."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.database = Proxy(urlsplit(system.database_url).port or 5432)
        self.broker = Proxy(urlsplit(system.broker_url).port or 5672)
        self._env = {
            **system.env,
            **SETTINGS,
            "DATABASE_URL": _through(system.database_url, self.database.port),
            "CELERY_BROKER_URL": _through(system.broker_url, self.broker.port),
        }
        self._makers: dict[str, Callable[[], Process]] = {
            "web": self._web,
            "relay": lambda: self._python("relay", "manage.py", "relay"),
            "worker": lambda: self._worker("worker", LANES),
            "exports": lambda: self._worker("exports", ("exports",)),
            "beat": lambda: self._python("beat", "-m", "celery", "-A", "project", "beat"),
        }
        self.living: dict[str, Process] = {}
        self._ending = threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)

    @property
    def url(self) -> str:
        web = self.living["web"]
        assert isinstance(web, Web)
        return web.url

    def start(self) -> None:
        """Start everything and wait until it works; from then on what dies is started again."""
        for tenant in (self.system.people.acme, self.system.people.globex):
            exporting.add_items(self.system, tenant.id, ITEMS)
        for name in self._makers:
            self._start(name)
        for process in self.living.values():
            if isinstance(process, Web | Worker):
                process.wait_ready()
        self._supervisor.start()

    def close(self) -> None:
        self._ending.set()
        self._supervisor.join(10)
        for proxy in (self.database, self.broker):
            proxy.close()

    def logs(self) -> list[tuple[str, str]]:
        return [(each.name, each.log_text()) for each in self.system.processes]

    def _supervise(self) -> None:
        while not self._ending.wait(LOOK_SECONDS):
            for name, process in list(self.living.items()):
                if not process.alive:
                    with contextlib.suppress(ServiceFailed):
                        self._start(name)

    def _start(self, name: str) -> None:
        process = self._makers[name]()
        self.system.processes.append(process)
        process.start()
        self.living[name] = process

    def _web(self) -> Process:
        return Web(self._unused("web"), directory=self.system.directory, env=self._env, workers=2)

    def _worker(self, name: str, queues: tuple[str, ...]) -> Process:
        return Worker(
            self._unused(name),
            directory=self.system.directory,
            env=self._env,
            queues=queues,
            concurrency=2,
            options=(),
        )

    def _python(self, name: str, *words: str) -> Process:
        argv = [sys.executable, *words]
        return Process(self._unused(name), argv, directory=self.system.directory, env=self._env)

    def _unused(self, name: str) -> str:
        """Each start has a log of its own; a worker's node name is unique by it, too."""
        return f"{name}-{len(self.system.processes)}"


def _through(url: str, port: int) -> str:
    parts = urlsplit(url)
    credentials = (parts.netloc.rpartition("@"))[0]
    return parts._replace(netloc=f"{credentials}@{LOOPBACK}:{port}").geturl()

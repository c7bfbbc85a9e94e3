"""The product that the tour visits: prepared from nothing, one process, ended whatever happens."""

import json
import secrets
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from project import laptop
from project.demo.person import Person
from project.services import Child
from project.services.ports import LOOPBACK, free_port
from project.services.runs import CHECKOUT, VAR

DIRECTORY = VAR / "demo"
READY_SECONDS = 60
STOP_SECONDS = 30


class Product:
    """A fresh database and files under `var/demo`, and `manage.py up` on a free port."""

    def __init__(self, directory: Path = DIRECTORY) -> None:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        self.directory = directory
        self.password = secrets.token_urlsafe(12)
        self.url = ""
        self.env = laptop.environment(
            VAR_DIR=str(directory),
            DEBUG="true",
            DATABASE_URL=f"sqlite:///{directory / 'offload.sqlite3'}",
            CELERY_BROKER_URL="memory://localhost/",
            EXPORTS_STORAGE_URL=f"file://{directory / 'exports'}",
            LOG_FORMAT="text",
            JOBS_RETRY_BASE_SECONDS="2",  # Ten of a visitor's seconds are long.
            ALERT_EMAIL="oncall@offload.example",
            NOTIFICATIONS_TRUSTED_NETWORKS="127.0.0.0/8",  # The outside system is on this machine.
        )
        self._process: Child | None = None
        self._starts = 0

    def migrate(self) -> int:
        """Create the tables; return how many migrations that took."""
        return laptop.run(self.env, "migrate", "--noinput").count("... OK")

    def seed(self, items: int) -> dict[str, Any]:
        """Create people, tenants and items; return what `seed_demo --json` says of them."""
        words = ("seed_demo", "--json", f"--items={items}", f"--password={self.password}")
        outcome: dict[str, Any] = json.loads(laptop.run(self.env, *words))
        return outcome

    def command(self, *words: str) -> str:
        """Run `manage.py <words>` beside the living process, and return what it printed."""
        return laptop.run({**self.env, "LOG_LEVEL": "WARNING"}, *words)

    def start(self) -> int:
        """Start it, wait until it listens, and return its process id."""
        self._starts += 1
        port = free_port()
        argv = [sys.executable, "manage.py", "up", "--port", port]
        env = {**self.env, "PUBLIC_URL": f"http://{LOOPBACK}:{port}"}
        process = Child(f"up-{self._starts}", argv, directory=self.directory, env=env, cwd=CHECKOUT)
        self._process = process
        process.start()
        process.wait_for(
            lambda: "Offload is up" in process.log_text(), seconds=READY_SECONDS, what="it was up"
        )
        self.url = f"http://{LOOPBACK}:{port}"
        return process.pid

    def visitor(self, email: str) -> Person:
        """Return somebody who has signed in."""
        person = Person(self.url)
        person.sign_in(email, self.password)
        return person

    def crash(self) -> None:
        """End it as a power cut would."""
        if self._process:
            self._process.kill()

    def stop(self) -> int:
        """Ask it to stop and return its exit code."""
        if self._process is None:
            return 0
        self._process.send(signal.SIGTERM)
        self._process.stop(patience_seconds=STOP_SECONDS)
        return self._process.exit_code or 0

    def log_tail(self) -> str:
        return self._process.log_tail() if self._process else ""

    def close(self) -> None:
        """End what still runs, with its children."""
        self.crash()

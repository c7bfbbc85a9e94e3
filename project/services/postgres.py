"""A private PostgreSQL server on a free loopback port, its data in a directory of its own."""

import os
import shutil
import signal
from pathlib import Path

import psycopg

from project.services.child import Child
from project.services.cluster import make_cluster, make_home
from project.services.database import DatabaseServer
from project.services.ports import LOOPBACK, free_port, listens
from project.services.programs import postgres_program
from project.services.secret import kept_secret

ROLE = "offload"
START_SECONDS = 60
STOP_SECONDS = 60
#: fsync stays on unless asked otherwise, as in production: figures measured here are honest.
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
}


#: Of a server whose data need not outlive a power cut. That of its processes they do: what was
#: written is with the kernel.
LAX = {"fsync": "off", "full_page_writes": "off"}


class Postgres(DatabaseServer):
    """
    A server that we may stop, kill, restart and wipe; it keeps its port and password.

    Without `fsync` it waits for no disk, for tests: they empty every table, each time.
    """

    ours = True

    def __init__(self, run: Path, *, fsync: bool = True) -> None:
        self._settings = SETTINGS if fsync else {**SETTINGS, **LAX}
        self.user = "postgres" if os.geteuid() == 0 else None  # It refuses to run as root.
        self.port = free_port()
        self.password = kept_secret(run / "postgres.password")
        super().__init__(f"postgres://{ROLE}:{self.password}@{LOOPBACK}:{self.port}/postgres")
        self.binary = postgres_program("postgres")
        self._home = make_home(run, self.user)
        self._child = Child(
            "postgres",
            self._command(),
            directory=run,
            cwd=self._home,
            user=self.user,
            stop_signal=signal.SIGINT,  # SIGTERM would wait for every client to leave.
        )

    @property
    def pid(self) -> int:
        return self._child.pid

    def spawn(self) -> None:
        """Start the server without waiting for it; its data is made the first time."""
        make_cluster(self._home, user=self.user, role=ROLE, password=self.password)
        self._child.start()

    def wait_ready(self) -> None:
        """:raises ServiceFailed: if it does not answer."""
        self._child.wait_for(self._answers, seconds=START_SECONDS, what="it answered a query")

    def start(self) -> None:
        """Start the server and wait until it answers. Idempotent."""
        self.resume()
        if not self._child.alive:
            self.spawn()
        self.wait_ready()

    def stop(self, *, immediate: bool = False) -> None:
        """Stop the server and cut its clients; `immediate` leaves it as a crash would."""
        if immediate:
            self._child.send(signal.SIGQUIT)
        self._child.stop(patience_seconds=STOP_SECONDS)

    def kill(self) -> None:
        """End the server and all its backends with SIGKILL."""
        self._child.kill()

    def pause(self) -> None:
        """Let the server and its backends hang until `resume`."""
        self._child.pause()

    def resume(self) -> None:
        if self._child.alive:
            self._child.resume()

    def restart(self, *, immediate: bool = False) -> None:
        self.stop(immediate=immediate)
        self.start()

    def wipe(self) -> None:
        """Start again with no data at all."""
        self.stop(immediate=True)
        shutil.rmtree(self._home / "data")
        self.start()

    def program(self, name: str) -> Path:
        """Return the path of a client program of the server's own version, `psql` for one."""
        return self.binary.with_name(name)

    def _answers(self) -> bool:
        if not listens(self.port):
            return False
        try:
            psycopg.connect(self.url()).close()
        except psycopg.OperationalError:  # It still reads its log.
            return False
        return True

    def _command(self) -> list[object]:
        argv: list[object] = [self.binary, "-D", self._home / "data", "-p", str(self.port)]
        for name, value in self._settings.items():
            argv += ["-c", f"{name}={value}"]
        return argv

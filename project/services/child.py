"""One process that we start, in a group of its own, with a log file and a pid file."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from project.services.identity import Identity, children, end_all


class ServiceFailed(RuntimeError):
    """A process did not start or did not do in time what was waited for. Read its log's end."""


class Child:
    """A process of ours: `<directory>/<name>.log` and, while it runs, `<directory>/<name>.pid`."""

    def __init__(
        self,
        name: str,
        argv: Iterable[object],
        *,
        directory: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
        stop_signal: int = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.argv = [str(word) for word in argv]
        self.log = directory / f"{name}.log"
        self.pid_file = directory / f"{name}.pid"
        self.env = dict(os.environ if env is None else env)
        self.cwd = cwd
        self.user = user
        self.stop_signal = stop_signal
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self) -> "Child":
        """Start it without waiting until it is ready."""
        with self.log.open("ab") as log:
            self._popen = subprocess.Popen(  # noqa: S603 - the commands are our own
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.env,
                cwd=self.cwd,
                user=self.user,
                group=self.user,
                extra_groups=[] if self.user else None,
                start_new_session=True,
            )
        self.identity.write(self.pid_file)
        return self

    @property
    def pid(self) -> int:
        if self._popen is None:
            raise ServiceFailed(f"{self.name} was never started.")
        return self._popen.pid

    @property
    def identity(self) -> Identity:
        return Identity.of(self.pid, self.stop_signal)

    @property
    def alive(self) -> bool:
        return self._popen is not None and self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Return how it ended (negative: the signal's number), None while it runs."""
        return None if self._popen is None else self._popen.poll()

    def children(self) -> list[int]:
        """Return the pids of its living children, oldest first."""
        return children(self.pid)

    def send(self, signum: int) -> None:
        if self.alive:
            os.kill(self.pid, signum)

    def stop(self, *, patience_seconds: float = 20) -> None:
        """Ask it to stop, wait until it has, kill it after that. Idempotent."""
        if self.alive:
            end_all([self.identity], patience_seconds=patience_seconds)
        self._reap()

    def kill(self) -> None:
        """End it, its descendants and its group with SIGKILL. Idempotent."""
        if self.alive:
            self.identity.send_all(signal.SIGKILL)
        self._kill_orphans()
        self._reap()

    def pause(self) -> None:
        """Stop it and its descendants in their tracks, as a machine that hangs would."""
        self.identity.send_all(signal.SIGSTOP)

    def resume(self) -> None:
        self.identity.send_all(signal.SIGCONT)

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_tail(self, lines: int = 30) -> str:
        return "\n".join(self.log_text().splitlines()[-lines:])

    def wait_for(self, ready: Callable[[], object], *, seconds: float, what: str) -> None:
        """
        Wait until `ready()` is true.

        :raises ServiceFailed: if the process ends or the time is over first.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.alive:
                raise self._failure(f"ended with {self.exit_code} before {what}")
            if time.monotonic() > deadline:
                raise self._failure(f"took more than {seconds:.0f} s: {what}")
            time.sleep(0.1)

    def _failure(self, fault: str) -> ServiceFailed:
        return ServiceFailed(f"{self.name} {fault}. The end of {self.log}:\n{self.log_tail()}")

    def _kill_orphans(self) -> None:
        """
        Kill what is left of the group of a leader that has gone.

        The kernel gives its number to nobody while the group has a member, so whoever has a
        process of that number by now has none of ours.
        """
        gone = self._popen is not None and self._popen.poll() is not None
        if gone and not Path(f"/proc/{self.pid}").exists():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def _reap(self) -> None:
        if self._popen is not None:
            self._popen.wait()
        self.pid_file.unlink(missing_ok=True)

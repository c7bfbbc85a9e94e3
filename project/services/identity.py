"""Recognises a process that was started earlier, and ends it by its id."""

import contextlib
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Identity:
    """A process id that can't be mistaken for a later process with the same number."""

    pid: int
    started: int  #: Clock ticks from boot to its start, as the kernel counts them.
    stop_signal: int = signal.SIGTERM

    @classmethod
    def of(cls, pid: int, stop_signal: int = signal.SIGTERM) -> "Identity":
        return cls(pid, _started(pid), stop_signal)

    @classmethod
    def read(cls, path: Path) -> "Identity | None":
        """Return what `write` left there, or None for a file that says nothing."""
        try:
            return cls(*(int(number) for number in path.read_text().split()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        path.write_text(f"{self.pid} {self.started} {int(self.stop_signal)}\n")

    @property
    def alive(self) -> bool:
        return self.started > 0 and _started(self.pid) == self.started

    def send(self, signum: int) -> None:
        """Send a signal unless the process has gone."""
        if self.alive:
            os.kill(self.pid, signum)

    def send_all(self, signum: int) -> None:
        """Send a signal to the process and all its descendants, unless it has gone."""
        for pid in (self.pid, *descendants(self.pid)) if self.alive else ():
            _send(pid, signum)


def end_all(identities: Iterable[Identity], *, patience_seconds: float = 20) -> None:
    """Ask every process to stop, wait, and kill what is still there. Idempotent."""
    waited_for = list(identities)
    for identity in waited_for:
        identity.send(identity.stop_signal)
        identity.send_all(signal.SIGCONT)  # A paused process can't stop.
    deadline = time.monotonic() + patience_seconds
    while any(identity.alive for identity in waited_for) and time.monotonic() < deadline:
        time.sleep(0.05)
    for identity in waited_for:
        identity.send_all(signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """Return the children of a process, their children and so on, parents first."""
    found: list[int] = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


def children(pid: int) -> list[int]:
    """Return the living children of a process, oldest first."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        ids = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:  # It has gone, and so have its threads.
        return []
    return [child for child in ids if _started(child)]


def _started(pid: int) -> int:
    """Return the start of a living process, 0 for one that is gone or only waits to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in "ZX" else int(fields[19])


def _send(pid: int, signum: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signum)

"""Lets one process at a time be the embedded profile: its queues live in one memory."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.errors import JobError


class AlreadyUp(JobError):
    """Another process is the embedded profile already. Stop it first."""


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """
    Hold the lock file. The kernel lets go of it however the process ends.

    :raises AlreadyUp: naming the process that holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "?"
            raise AlreadyUp(
                f"Process {holder} is up already and holds {path}; stop it first."
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield

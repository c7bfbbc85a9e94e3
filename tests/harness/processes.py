"""The product's processes, each in a group of its own, as tests see, pause and kill them."""

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from project.services import Child
from project.services.ports import LOOPBACK, free_port, listens
from tests.harness.client import Client
from tests.harness.variables import CHECKOUT
from tests.harness.waiting import wait_for

READY_SECONDS = 60


def is_stopped(pid: int) -> bool:
    """Tell whether a process sleeps until it gets SIGCONT."""
    status = Path(f"/proc/{pid}/stat").read_text()
    return status.rpartition(")")[2].split()[0] == "T"


class Process(Child):
    """A process of the product. `kill`, `pause` and `resume` reach its whole group."""

    def __init__(
        self, name: str, argv: Sequence[object], *, directory: Path, env: Mapping[str, str]
    ) -> None:
        super().__init__(name, argv, directory=directory, env=env, cwd=CHECKOUT)

    def __enter__(self) -> "Process":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def terminate(self, *, seconds: float = 60) -> int:
        """Send SIGTERM, wait, and return the exit code."""
        self.send(signal.SIGTERM)
        self.wait_until_gone(seconds=seconds)
        return self.exit_code or 0

    def pause(self, pid: int | None = None) -> None:
        """Stop the process and its children, or one of them, as a machine that hangs would."""
        if pid is None:
            super().pause()
        else:
            os.kill(pid, signal.SIGSTOP)

    def resume(self, pid: int | None = None) -> None:
        if pid is None:
            super().resume()
        else:
            os.kill(pid, signal.SIGCONT)

    def wait_until_gone(self, *, seconds: float = 60) -> None:
        wait_for(lambda: not self.alive, seconds, f"{self.name} ended")

    def wait_for_log(self, text: str, *, seconds: float = READY_SECONDS) -> None:
        """Wait until the log holds a text; fail at once if the process ends without it."""
        self.wait_for(lambda: text in self.log_text(), seconds=seconds, what=f"it logged {text!r}")


class Web(Process):
    """gunicorn on a port of its own."""

    def __init__(self, name: str, *, directory: Path, env: Mapping[str, str], workers: int) -> None:
        self.port = free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        argv = [sys.executable, "-m", "gunicorn", "project.wsgi", "--worker-class", "gthread"]
        argv += ["--threads", "8", "--workers", str(workers), "--bind", f"{LOOPBACK}:{self.port}"]
        super().__init__(name, argv, directory=directory, env=env)

    def wait_ready(self) -> None:
        self.wait_for(lambda: listens(self.port), seconds=READY_SECONDS, what="it listened")

    def client(self, token: str | None = None) -> Client:
        """Return a client that shows a token with every request, or none at all."""
        return Client(self.url, token)


class Worker(Process):
    """A Celery worker with a node name of its own."""

    def __init__(
        self,
        name: str,
        *,
        directory: Path,
        env: Mapping[str, str],
        queues: Sequence[str],
        concurrency: int,
        options: Sequence[str],
    ) -> None:
        argv = [sys.executable, "-m", "celery", "-A", "project", "worker", "-n", f"{name}@%h"]
        argv += ["--loglevel", "INFO", "--concurrency", str(concurrency), *options]
        if queues:
            argv += ["-Q", ",".join(queues)]
        super().__init__(name, argv, directory=directory, env=env)

    def wait_ready(self) -> None:
        self.wait_for_log(" ready.")

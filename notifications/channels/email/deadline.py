"""One limit for all that a conversation takes, enforced from beside it."""

import contextlib
import socket
import threading
import time


class DeadlineOver(TimeoutError):
    """The mail server was cut off, for it took too long in all. Another attempt may be quicker."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The mail server took over {seconds:g} s in all.")


class Deadline:
    """Counts from its making. A connection that is put under it is shut down when it is over."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends_at = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._connection: socket.socket | None = None

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._ends_at

    def remaining(self) -> float:
        """Return the seconds that are left, a thousandth at least: zero would not block at all."""
        return max(self._ends_at - time.monotonic(), 0.001)

    def cut(self, connection: socket.socket) -> None:
        """
        Shut the connection down when the time is over, so that whoever waits for it fails at once.

        Holds a duplicate: TLS takes the socket itself over, and leaves this object without one.
        """
        self._connection = connection.dup()
        self._timer = threading.Timer(self.remaining(), self._shut_down)
        self._timer.daemon = True
        self._timer.start()

    def cancel(self) -> None:
        """Let go of the connection. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
        self._release()

    def _shut_down(self) -> None:
        # Under the lock, or else the number of a connection that is just being closed may be
        # another's by the time it is shut down.
        with self._lock, contextlib.suppress(OSError):
            if self._connection is not None:
                self._connection.shutdown(socket.SHUT_RDWR)
        self._release()

    def _release(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

"""Finds free ports on the loopback interface."""

import random
import socket
from contextlib import closing
from pathlib import Path

LOOPBACK = "127.0.0.1"
_given: set[int] = set()


def free_port() -> int:
    """
    Return a port nobody listens on, never the same twice in one process.

    It lies below the kernel's range for outgoing connections: a client that retries a stopped
    server on a port of that range may be given this very port for its own end, and then either
    talks to itself or keeps the server from starting again.
    """
    candidates = list(range(15_000, _first_ephemeral()))
    random.shuffle(candidates)
    for port in candidates:
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    raise OSError(f"No port of {LOOPBACK} below {_first_ephemeral()} is free.")


def listens(port: int) -> bool:
    """Say whether something accepts connections on a port of the loopback interface."""
    with closing(socket.socket()) as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def is_free(port: int) -> bool:
    """Say whether a server could listen on a port of the loopback interface."""
    with closing(socket.socket()) as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def _first_ephemeral() -> int:
    return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])

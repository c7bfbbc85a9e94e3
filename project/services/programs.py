"""Finds the installed programs of PostgreSQL, RabbitMQ and the browser."""

import re
import shutil
from pathlib import Path


class NotInstalled(RuntimeError):
    """A program is missing; the message names the package that brings it."""

    def __init__(self, package: str) -> None:
        super().__init__(
            f"{package} is not installed. Install it (Debian, Ubuntu): "
            f"sudo apt-get install --no-install-recommends {package}"
        )


def _newest(pattern: str) -> Path | None:
    """Return the match with the highest version number in its path."""
    found = Path("/").glob(pattern.lstrip("/"))
    return max(
        found, key=lambda path: [int(n) for n in re.findall(r"\d+", str(path))], default=None
    )


def postgres_program(name: str) -> Path:
    """
    Return the path of a program of PostgreSQL's newest installed server.

    :raises NotInstalled: if there is no server.
    """
    server = _newest("/usr/lib/postgresql/*/bin/initdb") or _which("initdb")
    if server is None:
        raise NotInstalled("postgresql")
    return server.resolve().with_name(name)


def rabbitmq_program(name: str) -> Path:
    """
    Return the path of one of RabbitMQ's own scripts.

    Debian's wrappers in /usr/sbin change the user and forget the environment, so they are the
    last resort.

    :raises NotInstalled: if there is none.
    """
    script = (
        _newest(f"/usr/lib/rabbitmq/bin/{name}")
        or _newest(f"/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/{name}")
        or _which(name)
    )
    if script is None:
        raise NotInstalled("rabbitmq-server")
    return script


def epmd_program() -> Path:
    """:raises NotInstalled: if Erlang is missing."""
    program = _which("epmd") or _newest("/usr/lib/erlang/erts-*/bin/epmd")
    if program is None:
        raise NotInstalled("rabbitmq-server")
    return program


def browser_program() -> Path:
    """:raises NotInstalled: if no Chromium is found."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := _which(name):
            return found
    raise NotInstalled("chromium")


def _which(name: str) -> Path | None:
    found = shutil.which(name, path="/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin")
    return Path(found) if found else None

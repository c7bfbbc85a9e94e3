"""Installs PostgreSQL, RabbitMQ and Chromium with apt, or says exactly what to install."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from project.services.programs import (
    NotInstalled,
    browser_program,
    epmd_program,
    postgres_program,
    rabbitmq_program,
)

#: What invoke-rc.d asks before it starts a service: 101 is "do not".
POLICY = Path("/usr/sbin/policy-rc.d")
APT = ["apt-get", "-y", "-q", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0"]


class CannotInstall(RuntimeError):
    """A package is missing and can't be installed from here; the message says how to."""


def install_missing(*, browser: bool) -> None:
    """
    Install the servers that tests and the services profile start, where they are missing.

    A server whose URL is given (TEST_DATABASE_URL, TEST_BROKER_URL) is not needed. No installed
    server is started. A browser that apt does not offer is reported and done without.

    :raises CannotInstall: if a server is missing and we are not root, or apt fails.
    """
    _install(missing_servers())
    if browser and _is_missing(browser_program):
        try:
            _install(["chromium"])
            browser_program()
        except (CannotInstall, NotInstalled) as fault:
            print(f"No browser, so tests that need one will say so. {fault}")


def missing_servers() -> list[str]:
    """Return the packages of the servers that are needed and not there."""
    wanted: list[str] = []
    if not os.environ.get("TEST_DATABASE_URL") and _is_missing(lambda: postgres_program("initdb")):
        wanted.append("postgresql")
    if not os.environ.get("TEST_BROKER_URL") and _is_missing(_find_rabbitmq):
        wanted.append("rabbitmq-server")
    return wanted


def _find_rabbitmq() -> None:
    rabbitmq_program("rabbitmq-server")
    epmd_program()


def _is_missing(find: Callable[[], object]) -> bool:
    try:
        find()
    except NotInstalled:
        return True
    return False


def _install(packages: list[str]) -> None:
    if not packages:
        return
    by_hand = f"sudo apt-get install --no-install-recommends {' '.join(packages)}"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise CannotInstall(f"{' and '.join(packages)} missing. Install with: {by_hand}")
    print(f"Installing {', '.join(packages)} with apt ...", flush=True)
    with _nothing_starts():
        _apt("update")
        _apt("install", "--no-install-recommends", *packages)


@contextmanager
def _nothing_starts() -> Iterator[None]:
    """Keep packages from starting their servers, unless the machine has a policy of its own."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def _apt(*words: str) -> None:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(  # noqa: S603 - the commands are our own
        [*APT, *words], env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise CannotInstall(f"apt-get {' '.join(words)} ended with {done.returncode}:\n{tail}")

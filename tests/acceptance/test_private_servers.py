"""The private servers, started for real in a directory of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from project.services import Child, NotInstalled
from project.services.identity import Identity
from project.services.programs import postgres_program, rabbitmq_program
from tests.harness.plugin import lack
from tests.harness.variables import CHECKOUT
from tests.harness.waiting import wait_for

OWNER = """
import time
from project.services import services
with services("probe") as running:
    running.postgres.create_database("first")
    running.rabbitmq.create_vhost("first")
    print("up", flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _installed() -> None:
    try:
        postgres_program("postgres")
        rabbitmq_program("rabbitmq-server")
    except NotInstalled as fault:
        lack(str(fault))


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Child]:
    """A process with both servers up."""
    env = {**os.environ, "VAR_DIR": str(tmp_path)}
    argv = [sys.executable, "-c", OWNER]
    owner = Child("owner", argv, directory=tmp_path, env=env, cwd=CHECKOUT).start()
    try:
        owner.wait_for(lambda: "up" in owner.log_text(), seconds=120, what="both servers were up")
        yield owner
    finally:
        owner.send(signal.SIGKILL)
        wait_for(lambda: not owner.alive, 20, "the owner has gone")
        wait_for(lambda: not runs_in(tmp_path), 60, "the guard has tidied up")


def runs_in(directory: Path) -> list[Path]:
    return list((directory / "services").glob("*"))


class TestServices:
    def test_end_with_their_owner_even_if_it_is_killed(self, owner: Child, tmp_path: Path) -> None:
        # Given servers, each recorded in the run's directory
        [run] = runs_in(tmp_path)
        started = {path.stem: Identity.read(path) for path in run.glob("*.pid")}
        assert {"postgres", "rabbitmq", "epmd"} == set(started)
        assert all(identity and identity.alive for identity in started.values())

        # When their owner alone dies without a word, then they end and their data goes
        owner.send(signal.SIGKILL)
        wait_for(lambda: not runs_in(tmp_path), 60, "the run's directory has gone")
        assert not any(identity and identity.alive for identity in started.values())

    def test_listen_on_loopback_alone(self, owner: Child, tmp_path: Path) -> None:
        [run] = runs_in(tmp_path)
        pids = [Identity.read(path).pid for path in run.glob("*.pid")]  # type: ignore[union-attr]
        addresses = [address for pid in pids for address in listening(pid)]
        assert len(addresses) >= 5  # PostgreSQL, epmd; AMQP, management and distribution.
        assert {address.rpartition(":")[0] for address in addresses} <= LOOPBACK


#: 127.0.0.1 and ::1 as the kernel writes them on a little-endian machine.
LOOPBACK = {"0100007F", "00000000000000000000000001000000"}


def listening(pid: int) -> list[str]:
    """Return the addresses a process listens on, as /proc/net/tcp writes them."""
    links = [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()]
    sockets = {link[len("socket:[") : -1] for link in links if link.startswith("socket:[")}
    tables = [Path("/proc/net/tcp"), Path("/proc/net/tcp6")]
    rows = [line.split() for table in tables for line in table.read_text().splitlines()[1:]]
    return [row[1] for row in rows if row[3] == "0A" and row[9] in sockets]


class TestInstall:
    def test_says_in_one_line_what_a_machine_without_apt_lacks(self, tmp_path: Path) -> None:
        # Given a machine that shows no server and no apt to whoever asks
        code = (
            "from project.services import install, programs;"
            "programs._newest = programs._which = lambda name: None;"
            "install.shutil.which = lambda name: None;"
            "install.install_missing(browser=False)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode != 0
        assert (
            "Install with: sudo apt-get install --no-install-recommends postgresql rabbitmq-server"
            in done.stderr.splitlines()[-1]
        )

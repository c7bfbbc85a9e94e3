"""The launcher of private servers: it ends what it started, and nothing else."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from project.services import Child, RunInUse, ServiceFailed, runs
from project.services.identity import Identity, end_all
from project.services.install import missing_servers
from project.services.ports import free_port, is_free
from project.services.procfile import read_procfile
from project.services.secret import kept_secret
from tests.harness.waiting import wait_for


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Child]:
    """A process with a child of its own, both asleep."""
    child = Child("sleeper", ["sh", "-c", "sleep 300 & wait"], directory=tmp_path).start()
    wait_for(child.children, 20, "the shell has its child")
    yield child
    child.kill()


class TestIdentity:
    def test_recognises_a_process_by_what_was_written(self, sleeper: Child) -> None:
        read = Identity.read(sleeper.pid_file)
        assert read == sleeper.identity
        assert read.alive

    def test_takes_a_later_process_of_the_same_number_for_another(self, sleeper: Child) -> None:
        earlier = Identity(sleeper.pid, sleeper.identity.started - 1)
        end_all([earlier])
        assert not earlier.alive
        assert sleeper.alive

    def test_reads_nothing_from_a_broken_file(self, tmp_path: Path) -> None:
        (tmp_path / "broken.pid").write_text("not a number")
        assert Identity.read(tmp_path / "broken.pid") is None
        assert Identity.read(tmp_path / "missing.pid") is None


class TestChild:
    def test_kills_its_descendants_too(self, sleeper: Child) -> None:
        below = Identity.of(sleeper.children()[0])
        sleeper.kill()
        assert not sleeper.alive
        assert not sleeper.pid_file.exists()
        wait_for(lambda: not below.alive, 20, "the child's child has gone")

    def test_kills_the_group_of_a_leader_that_died_alone(self, sleeper: Child) -> None:
        below = Identity.of(sleeper.children()[0])
        os.kill(sleeper.pid, signal.SIGKILL)
        wait_for(lambda: not sleeper.alive, 20, "the leader has gone")
        sleeper.kill()
        wait_for(lambda: not below.alive, 20, "the orphan has gone")

    def test_stops_though_it_is_paused(self, sleeper: Child) -> None:
        sleeper.pause()
        sleeper.stop()
        assert sleeper.exit_code == -signal.SIGTERM

    def test_says_why_it_did_not_start(self, tmp_path: Path) -> None:
        child = Child("broken", ["sh", "-c", "echo no luck; exit 3"], directory=tmp_path).start()
        with pytest.raises(ServiceFailed, match=r"ended with 3(.|\n)*no luck"):
            child.wait_for(lambda: False, seconds=20, what="it was ready")


class TestRuns:
    @pytest.fixture(autouse=True)
    def _runs_elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(runs, "RUNS", tmp_path / "services")

    def test_ends_and_removes_what_a_dead_owner_left(self, sleeper: Child) -> None:
        left = runs.open_run("left", keep=False)
        sleeper.identity.write(left / "server.pid")
        Identity(os.getpid(), 1).write(left / runs.OWNER)  # As if written by an earlier process.

        runs.open_run("next", keep=False)

        assert not sleeper.alive
        assert not left.exists()

    def test_keeps_the_data_of_a_run_that_is_to_outlive_its_owner(self) -> None:
        run = runs.open_run("kept", keep=True)
        (run / "data").write_text("precious")
        runs.end_run(run)
        assert (runs.open_run("kept", keep=True) / "data").read_text() == "precious"

    def test_leaves_a_living_neighbour_alone(self, sleeper: Child) -> None:
        mine = runs.open_run("mine", keep=True)
        sleeper.identity.write(mine / "server.pid")
        with pytest.raises(RunInUse, match=str(os.getpid())):
            runs.open_run("mine", keep=True)
        assert sleeper.alive


class TestPorts:
    def test_gives_ports_that_no_client_can_be_given(self) -> None:
        ports = {free_port() for _ in range(20)}
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        assert len(ports) == 20
        assert max(ports) < first
        assert all(is_free(port) for port in ports)


class TestSecret:
    def test_stays_the_same_and_is_ours_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "password"
        assert kept_secret(path) == kept_secret(path) != kept_secret(tmp_path / "other")
        assert path.stat().st_mode & 0o077 == 0


class TestProcfile:
    def test_reads_commands_with_colons_and_skips_comments(self, tmp_path: Path) -> None:
        path = tmp_path / "Procfile"
        path.write_text("# a comment\nweb: serve --bind 127.0.0.1:8000\n\nbeat: tick\n")
        assert read_procfile(path) == {"web": "serve --bind 127.0.0.1:8000", "beat": "tick"}


class TestInstall:
    def test_misses_no_server_whose_url_is_given(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TEST_DATABASE_URL", "postgres://127.0.0.1/elsewhere")
        monkeypatch.setenv("TEST_BROKER_URL", "amqp://127.0.0.1/")
        assert missing_servers() == []

"""Beat dies, or hangs: another process tells people of it, and doctor says so."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.harness.processes import Process
from tests.harness.system import System
from tests.receiver import Receiver, receiver

#: Long enough for a worker's look, the relay and the alert's job on a slow machine.
SAFETY_NET_SECONDS = 120

SOON = {"ALERTS_BEAT_SILENT_SECONDS": "15", "ALERTS_WATCH_SECONDS": "2"}


@pytest.fixture
def hook(system: System):
    """The on-call people's receiver, and a product that tells it soon."""
    with receiver() as server:
        system.env |= {**SOON, "ALERT_WEBHOOK_URL": server.url}
        yield server


@pytest.fixture
def beat(system: System, hook: Receiver) -> Process:
    """A beat that ticks, beside a relay and a worker."""
    system.relay()
    system.worker()
    beat = system.beat()
    query = "SELECT 1 FROM jobs_process WHERE kind = 'beat'"
    system.wait_for(lambda: system.value(query), seconds=SAFETY_NET_SECONDS, what="beat ticked")
    return beat


def silences(hook: Receiver) -> list[dict[str, Any]]:
    return [body for body in hook.bodies if body["data"]["type"] == "beat_silent"]


def words_of_doctor(system: System) -> tuple[str, str]:
    done = system.run("doctor", "--json", check=False)
    [row] = [row for row in json.loads(done.stdout) if row["check"] == "beat"]
    assert row["latency_ms"] > 0
    return row["status"], row["found"]


class TestABeat:
    @pytest.mark.parametrize("end", [Process.kill, Process.pause, Process.terminate])
    def test_that_ticks_no_more_is_told_of(
        self, system: System, hook: Receiver, beat: Process, end: Callable[[Process], Any]
    ) -> None:
        assert words_of_doctor(system)[0] == "ok"
        end(beat)

        [body] = system.wait_for(
            lambda: silences(hook), seconds=SAFETY_NET_SECONDS, what="the silent beat was told of"
        )

        assert body["severity"] == "error"
        assert body["data"]["silent_seconds"] >= 15
        last = system.value("SELECT MAX(seen_at) FROM jobs_process WHERE kind = 'beat'")
        assert body["data"]["last_tick"] == last.isoformat()
        system.wait_for(
            lambda: words_of_doctor(system)[0] == "failed",
            seconds=SAFETY_NET_SECONDS,
            what="doctor said so",
        )
        assert words_of_doctor(system)[1].startswith("its last tick was ")
        assert len(silences(hook)) == 1

"""`make demo` as a reader runs it: it shows everything, ends with 0 and leaves nothing running."""

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from tests.harness.environment import KEPT
from tests.harness.processes import Process

STEPS = (
    "migrated: ",
    "seeded: ",
    "started: ",
    "signed in: ",
    "requested: 202",
    "relayed: ",
    "claimed: ",
    "settled: succeeded",
    "downloaded: ",
    "verified: 10,000 rows, SHA-256 ",
    "gets 404",
    "delivered: export.completed, signature valid, the same id both times",
    "mailed: 'An export is ready to be downloaded' to ",
    "dead: GiveUp: There is no export",
    "alerted: a mail in ",
    "killed: ",
    "completed: 10,000 rows",
    "stopped: exit code 0",
)


@pytest.fixture
def demo(tmp_path: Path):
    """The tour, started, with a `var` of its own."""
    env = {name: value for name, value in os.environ.items() if name in KEPT}
    env |= {"VAR_DIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    demo = Process("demo", [sys.executable, "-m", "project.demo"], directory=tmp_path, env=env)
    demo.start()
    yield demo
    demo.kill()


def processes_in(directory: Path) -> list[int]:
    """Return the processes whose environment names the directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            variables = path.read_bytes().split(b"\0")
        except OSError:
            continue  # It has ended, or belongs to somebody else.
        if any(word.startswith(f"VAR_DIR={directory}".encode()) for word in variables):
            found.append(int(path.parent.name))
    return found


class TestDemo:
    def test_shows_every_step_and_leaves_nothing_running(self, demo, tmp_path):
        demo.wait_until_gone(seconds=280)
        shown = demo.log_text()
        assert demo.exit_code == 0, shown
        assert [step for step in STEPS if step not in shown] == []
        assert "\x1b" not in shown  # Plain text where there is no terminal.
        assert processes_in(tmp_path) == []

    def test_shows_the_end_of_the_log_when_the_product_dies(self, demo, tmp_path):
        # Given a product that is killed under the visitor
        demo.wait_for_log("signed in: ", seconds=200)
        [pid] = re.findall(r"process (\d+) at", demo.log_text())
        os.kill(int(pid), signal.SIGKILL)

        # When the tour can't go on, then it says so, ends with a fault and leaves nothing
        demo.wait_until_gone(seconds=60)
        assert demo.exit_code == 1
        assert "The end of the log:" in demo.log_text()
        assert processes_in(tmp_path) == []

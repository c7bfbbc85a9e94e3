"""One run has one database: what is for SQLite gets a run of its own."""

import subprocess
import sys

import pytest

from tests.harness.variables import CHECKOUT


@pytest.mark.parametrize(
    "module",
    [
        "test_cleanup_on_sqlite",
        "test_ledger_on_sqlite",
        "test_metrics_on_sqlite",
        "test_notifications_on_sqlite",
        "test_schedules_on_sqlite",
        "test_workflows_on_sqlite",
    ],
)
class TestOnSqlite:
    def test_passes_in_a_run_of_its_own(self, module):
        argv = [sys.executable, "-m", "pytest", "-q", f"tests/unit/{module}.py"]

        done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stdout
        assert "skipped" not in done.stdout

"""One run has one database: what is for SQLite gets a run of its own."""

import subprocess
import sys

from tests.harness.variables import CHECKOUT


class TestTheLedgerOnSqlite:
    def test_passes_in_a_run_of_its_own(self):
        argv = [sys.executable, "-m", "pytest", "-q", "tests/unit/test_ledger_on_sqlite.py"]

        done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stdout
        assert "skipped" not in done.stdout

"""An export in parts whose workers are killed again and again has the bytes of a single job."""

import hashlib
import json
import time
from collections import Counter
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from exports.models import Export
from exports.operations import request_export
from exports.states import ExportStatus
from exports.workflows import WRITE
from tests.harness import exporting, ledger
from tests.harness.processes import Worker
from tests.harness.slaughter import Slaughter, choose_points
from tests.harness.system import System

#: Leases and sweeps of seconds instead of minutes; nothing else differs from production.
IMPATIENT = {
    "JOBS_LEASE_SECONDS": "3",
    "JOBS_HEARTBEAT_SECONDS": "1",
    "JOBS_RECOVERY_INTERVAL_SECONDS": "1",
    "JOBS_RETRY_BASE_SECONDS": "1",
}

#: Stores so slow that there is a middle of a part to be killed in.
SLOW = {"JOBS_EXTRA_TASK_MODULES": "tests.harness.slow_stores", "STORE_REST_SECONDS": "0.02"}

#: What a child may take at most: far less than the large file, and many times its blocks.
CHILD_BYTES = 200 * 2**20

STEPS = """
    SELECT number, branch, attempts, output, started_at, ended_at, job_id
      FROM jobs_workflowstep WHERE workflow_id = %s AND status = 'done'"""


@dataclass(frozen=True)
class Trial:
    rows: int
    rows_per_part: int
    kills: int
    seed: int = 20
    seconds: float = 120

    @property
    def parts(self) -> int:
        return -(-self.rows // self.rows_per_part)


SHORT = Trial(rows=100_000, rows_per_part=5_000, kills=4)
FULL = Trial(rows=1_000_000, rows_per_part=25_000, kills=20, seconds=900)


class TestSigkill:
    @pytest.mark.parametrize(
        "trial",
        [
            pytest.param(SHORT, id="short"),
            pytest.param(FULL, id="full", marks=[pytest.mark.slow, pytest.mark.timeout(1_800)]),
        ],
    )
    def test_at_random_points_costs_no_byte_and_no_part_that_is_done(self, system, settings, trial):
        # Given what an undisturbed single job makes of the same rows
        system.env |= IMPATIENT | {"EXPORTS_PART_ROWS": str(trial.rows_per_part)}
        exporting.add_items(system, system.people.acme.id, trial.rows)
        system.rows("ANALYZE")
        system.relay()
        system.worker("other", queues=("jobs", "notifications", "alerts"), concurrency=1)
        slaughter = begin_slaughter(system, trial.seed)
        settings.EXPORTS_PARTS_FROM_ROWS = trial.rows + 1
        single = wait_for_end(system, request(system), trial)
        assert (single.status, single.row_count) == (ExportStatus.COMPLETED, trial.rows)

        # When two workers of two children write it in parts, and are killed again and again
        settings.EXPORTS_PARTS_FROM_ROWS = trial.rows
        began = time.monotonic()
        export, parts = request(system), PartsSeen(system)
        for point in choose_points(trial.seed, count=trial.kills, parts=trial.parts):
            slaughter.kill_at(point, export.workflow_id)
            parts.look(export.workflow_id)
        export = wait_for_end(system, export, trial)
        slaughter.join()
        slaughter.look()
        figures = {
            "seconds": round(time.monotonic() - began),
            "killed": Counter(slaughter.killed),
            "lost": count_lost(system),
            "done before kills": len(parts.seen),
            "peak MiB": slaughter.peak_bytes // 2**20,
        }
        print(figures)  # noqa: T201 - shown by -rP

        # Then it is completed, with the same bytes, and its manifest proves it
        assert (export.status, export.error) == (ExportStatus.COMPLETED, "")
        assert file_digest(system, export) == export.sha256 == single.sha256
        assert (export.row_count, export.size_bytes) == (single.row_count, single.size_bytes)
        proof = json.loads(system.run("verify_export", "--json", str(export.pk)).stdout)
        assert (proof["holds"], proof["parts"]) == (True, trial.parts)

        # And what was done before a kill was not done again, nor is anything left of it
        parts.assert_kept(export.workflow_id)
        assert len(slaughter.killed) == trial.kills
        assert (
            figures["lost"] >= trial.kills / 2
        )  # The others died just before they began, or had ended.
        assert slaughter.peak_bytes < CHILD_BYTES
        ledger.wait_until_all_settled(system)
        assert leftovers(system) == []
        assert system.value("SELECT count(*) FROM jobs_deadletter") == 0


class PartsSeen:
    """The steps that were done, and the parts' files, when somebody looked."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.seen: dict[tuple[int, int], dict[str, Any]] = {}
        self.files: dict[Path, tuple[int, int]] = {}

    def look(self, workflow_id: object) -> None:
        """Note what is new; what was there before must be the same file."""
        for row in self._done(workflow_id):
            self.seen.setdefault((row["number"], row["branch"]), row)
        for row in self.seen.values():
            if row["number"] == WRITE:
                self._look_at_file(stored(self.system) / row["output"]["key"])

    def assert_kept(self, workflow_id: object) -> None:
        """Each step that was done is as it was: attempts, output, times and job."""
        now = {(row["number"], row["branch"]): row for row in self._done(workflow_id)}
        assert {place: now[place] for place in self.seen} == self.seen
        assert {number for number, _ in now} == {1, 2, 3, 4, 5}

    def _done(self, workflow_id: object) -> list[dict[str, Any]]:
        return self.system.rows(STEPS, workflow_id)

    def _look_at_file(self, path: Path) -> None:
        try:
            status = path.stat()
        except FileNotFoundError:  # The export is completed, and its parts are taken away.
            return
        known = (status.st_ino, status.st_mtime_ns)
        assert self.files.setdefault(path, known) == known


def begin_slaughter(system: System, seed: int) -> Slaughter:
    numbers = count(1)

    def start() -> Worker:
        return system.worker(f"group{next(numbers)}", queues=("exports",), env=SLOW)

    slaughter = Slaughter(system, start, seed)
    slaughter.begin(groups=2)
    return slaughter


def request(system: System) -> Export:
    tenant_id = UUID(system.people.acme.id)
    with system.orm():
        return request_export(tenant_id=tenant_id, user_id=None, dataset="items", format="csv")


def wait_for_end(system: System, export: Export, trial: Trial) -> Export:
    def ended() -> bool:
        with system.orm():
            export.refresh_from_db()
        return not export.is_live

    system.wait_for(ended, seconds=trial.seconds, what=f"{export} ended")
    return export


def count_lost(system: System) -> int:
    query = "SELECT count(*) FROM jobs_attempt WHERE outcome = 'lost'"
    return int(system.value(query))


def stored(system: System) -> Path:
    return system.directory / "exports"


def file_digest(system: System, export: Export) -> str:
    with (stored(system) / export.key).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def leftovers(system: System) -> list[Path]:
    """Return what is left of parts, published or not."""
    folders = (stored(system) / "parts", stored(system) / ".parts")
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]

"""Says what became of each accepted export, and what is there that nobody asked for."""

import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from project.services import RabbitMQ
from tests.chaos.client import Submitter
from tests.harness.system import System

LOOK_SECONDS = 1

#: Quiet looks in a row: RabbitMQ's counts are up to five seconds old.
QUIET_LOOKS = 8

UNDONE = """
SELECT (SELECT COUNT(*) FROM jobs_job WHERE state NOT IN ('succeeded', 'failed', 'cancelled'))
     + (SELECT COUNT(*) FROM jobs_job WHERE state = 'failed' AND dead_lettered_at IS NULL) AS undone
"""

EXPORTS = """
SELECT e.id::text, e.tenant_id::text, e.format, e.status, e.size_bytes, e.sha256, e.row_count,
       (SELECT COUNT(*) FROM jobs_job j WHERE j.payload ->> 'export_id' = e.id::text) AS jobs,
       (SELECT COUNT(*) FROM jobs_attempt a JOIN jobs_job j ON j.id = a.job_id
         WHERE j.payload ->> 'export_id' = e.id::text AND a.outcome = 'succeeded') AS successes,
       (SELECT COUNT(*) FROM jobs_deadletter d JOIN jobs_job j ON j.id = d.job_id
         WHERE j.payload ->> 'export_id' = e.id::text AND d.state = 'open') AS dead_letters
  FROM exports_export e"""


@dataclass
class Verdict:
    """What was found; every list but `completed` and `failed` should be empty."""

    accepted: int = 0
    completed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)  #: With exactly one dead letter each.
    lost: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    queues: list[str] = field(default_factory=list)  #: Those that are not empty.
    untold: list[str] = field(default_factory=list)  #: Webhooks and mails that should be there.

    @property
    def is_good(self) -> bool:
        wrong = (self.lost, self.stuck, self.duplicated, self.unexpected, self.queues, self.untold)
        return not any(wrong) and self.accepted == len(self.completed) + len(self.failed)


def wait_for_quiet(system: System, *, seconds: float) -> bool:
    """Wait until nothing is undone in the ledger, and nothing in the broker; False: in vain."""
    deadline = time.monotonic() + seconds
    quiet_looks = 0
    while time.monotonic() < deadline and quiet_looks < QUIET_LOOKS:
        quiet_looks = quiet_looks + 1 if _is_quiet(system) else 0
        time.sleep(LOOK_SECONDS)
    return quiet_looks == QUIET_LOOKS


def judge(system: System, submitter: Submitter) -> Verdict:
    """
    Read the final state and classify every accepted id.

    :raises psycopg.Error: if it can't be read, which is a failure of the run and no verdict.
    """
    rows = {row["id"]: row for row in system.rows(EXPORTS)}
    verdict = Verdict(accepted=len(submitter.accepted))
    verdict.unexpected += submitter.refused
    for export_id in submitter.accepted.values():
        _classify(system, verdict, export_id, rows.pop(export_id, None))
    verdict.unexpected += [f"export {export_id}" for export_id in rows]
    verdict.unexpected += _stray_files(system, verdict)
    verdict.unexpected += _stray_dead_letters(system, verdict)
    if len(set(submitter.accepted.values())) != len(submitter.accepted):
        verdict.duplicated.append("two keys were given one export")
    verdict.queues += [
        f"{queue['name']}: {queue['messages']}" for queue in _queues(system) if queue["messages"]
    ]
    return verdict


def _classify(system: System, verdict: Verdict, export_id: str, row: dict[str, Any] | None) -> None:
    if row is None:
        verdict.lost.append(f"{export_id}: accepted, and not in the database")
    elif row["jobs"] != 1 or row["successes"] > 1:
        words = f"{export_id}: {row['jobs']} jobs, {row['successes']} successes"
        verdict.duplicated.append(words)
    elif row["status"] == "completed":
        fault = _fault_of_file(system, row)
        (verdict.lost if fault else verdict.completed).append(fault or export_id)
    elif row["status"] == "failed" and row["dead_letters"] == 1:
        verdict.failed.append(export_id)
    elif row["status"] == "failed":
        verdict.lost.append(f"{export_id}: failed with {row['dead_letters']} dead letters")
    else:
        verdict.stuck.append(f"{export_id}: {row['status']}")


def _fault_of_file(system: System, row: dict[str, Any]) -> str:
    path = _path_of(system, row)
    if not path.exists():
        return f"{row['id']}: completed, and {path.name} is missing"
    data = path.read_bytes()
    if (len(data), hashlib.sha256(data).hexdigest()) != (row["size_bytes"], row["sha256"]):
        return f"{row['id']}: its file is not what its row says"
    return ""


def _path_of(system: System, row: dict[str, Any]) -> Path:
    name = f"{row['id']}.{row['format']}"
    return Path(system.directory, "exports", "exports", row["tenant_id"], name)


def _stray_files(system: System, verdict: Verdict) -> list[str]:
    """Return files that no completed export has: parts that were left, or a loser's publish."""
    root = system.directory / "exports"
    known = {*verdict.completed}
    files = (path for path in root.rglob("*") if path.is_file())
    return [f"file {path.relative_to(root)}" for path in files if path.stem not in known]


def _stray_dead_letters(system: System, verdict: Verdict) -> list[str]:
    query = "SELECT type, error FROM jobs_deadletter WHERE state = 'open' AND job_id IS NULL"
    return [f"dead letter {row['type']}: {row['error']}" for row in system.rows(query)]


def _is_quiet(system: System) -> bool:
    try:
        undone = system.value(UNDONE)
        return not undone and not any(queue["messages"] for queue in _queues(system))
    except (psycopg.Error, OSError):
        return False


def _queues(system: System) -> list[dict[str, Any]]:
    assert isinstance(system.rabbitmq, RabbitMQ)
    queues: list[dict[str, Any]] = system.rabbitmq.management.queues(system.name)
    return [{**queue, "messages": queue.get("messages", 0)} for queue in queues]

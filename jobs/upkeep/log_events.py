"""Owns the log lines of the nightly clean-up."""

from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from jobs.models import Job

log: Any = structlog.get_logger("jobs.upkeep")


def deleted(what: str, rows: int, *, before: datetime) -> None:
    """Of every part, once it is through, also where there was nothing to delete."""
    log.info("cleanup.deleted", what=what, rows=rows, before=before.isoformat())


def archived(what: str, rows: int, *, before: datetime) -> None:
    log.info("cleanup.archived", what=what, rows=rows, before=before.isoformat())


def part_started(part: str, job: "Job") -> None:
    log.info("cleanup.part_started", part=part, job_id=str(job.pk))


def part_skipped(part: str, live: "Job") -> None:
    """An earlier night's is not through; it takes what tonight's would have taken."""
    log.warning("cleanup.part_skipped", part=part, live_job_id=str(live.pk))


def part_refused(part: str, error: Exception) -> None:
    log.error("cleanup.part_refused", part=part, error=str(error))

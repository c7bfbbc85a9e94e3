"""Owns every log line about events and their counts: no line for each event, one for each run."""

from datetime import date
from typing import Any

import structlog

log: Any = structlog.get_logger("jobs")


def aggregated(full: bool, changed: int) -> None:
    log.info("events.aggregated", full=full, groups_changed=changed)


def days_closed(before: date) -> None:
    log.info("events.days_closed", before=before.isoformat())


def expired_deleted(count: int) -> None:
    log.info("events.expired_deleted", events=count)


def not_readable(error: BaseException) -> None:
    log.warning("metrics.not_readable", error=str(error))

"""Owns every log line of schedules: one function an event, each with its context."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import structlog
from django_celery_beat.models import PeriodicTask

from jobs.models import Slot
from jobs.states import SlotOutcome

log: Any = structlog.get_logger("jobs")


def decided(schedule: PeriodicTask, slots: Sequence[Slot]) -> None:
    """One line for each slot that started a job, and one for all that were skipped or wait."""
    quiet = [slot for slot in slots if slot.job_id is None]
    for slot in slots:
        if slot.job_id is not None:
            log.info(
                "slot.started",
                schedule=schedule.name,
                slot=slot.at.isoformat(),
                outcome=slot.outcome,
                job_id=str(slot.job_id),
            )
    if quiet:
        counts = Counter(SlotOutcome(slot.outcome).value for slot in quiet)
        first, last = quiet[0].at.isoformat(), quiet[-1].at.isoformat()
        log.warning("slots.passed", schedule=schedule.name, first=first, last=last, **counts)


def triggered(schedule: PeriodicTask, slot: Slot) -> None:
    log.info(
        "schedule.triggered",
        schedule=schedule.name,
        slot=slot.at.isoformat(),
        by=slot.asked_by,
        job_id=str(slot.job_id),
    )


def disabled(schedule: PeriodicTask, reason: str) -> None:
    if reason:
        log.error("schedule.disabled", schedule=schedule.name, reason=reason)
    else:
        log.info("schedule.ended", schedule=schedule.name)


def failed(name: str, error: BaseException) -> None:
    about = (type(error), error, error.__traceback__)
    log.error("schedule.failed", schedule=name, exc_info=about)


def paused(schedule: PeriodicTask, until: datetime | None, by: str) -> None:
    moment = until.isoformat() if until else None
    log.info("schedule.paused" if until else "schedule.resumed", schedule=schedule.name,
             until=moment, by=by)  # fmt: skip


def plain_task_called(task: str, task_id: str) -> None:
    log.info("schedule.plain_task_called", task=task, task_id=task_id)

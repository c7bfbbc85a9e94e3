"""How a project writes its cron table down: `JOBS_SCHEDULES`. Imports nothing of Django's."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class CronJob:
    """
    One row of the cron table; `sync_schedules` makes a schedule of it that operators may edit.

    `cron` is "minute hour day-of-month month day-of-week"; `missed` and `overlap` are values of
    `MissedPolicy` and `OverlapPolicy`.
    """

    name: str
    cron: str
    task: str
    description: str = ""
    payload: dict[str, Any] = field(default_factory=dict)
    timezone: str = "UTC"
    missed: str = "run_once"
    overlap: str = "skip"

"""A schedule's definition as plain values: what revisions keep, compare and are read back from."""

import json
from datetime import UTC, datetime
from typing import Any

from django_celery_beat.models import CrontabSchedule, PeriodicTask

from jobs.models import SchedulePolicy
from jobs.schedules.errors import BrokenSchedule

POLICY_FIELDS = (
    "missed", "grace_seconds", "catch_up_seconds", "catch_up_per_minute", "overlap", "waiting_max",
)  # fmt: skip
PLAIN_FIELDS = (
    "name", "task", "args", "kwargs", "headers", "priority", "queue", "exchange", "routing_key",
    "expire_seconds", "enabled", "one_off", "description",
)  # fmt: skip

#: The fields of django-celery-beat's crontabs, in the usual order.
CRONTAB_FIELDS = ("minute", "hour", "day_of_month", "month_of_year", "day_of_week")

Definition = dict[str, Any]

#: What a schedule is that is gone: it has no slots.
DELETED: Definition = {"deleted": True, "enabled": False, "one_off": False}


def definition_of(schedule: PeriodicTask) -> Definition:
    """Return all that an operator decides of a schedule and its policy, as JSON values."""
    # One that was saved past Django's signals has none yet: the defaults hold.
    policy: SchedulePolicy = getattr(schedule, "policy", None) or SchedulePolicy()
    return {
        **{name: getattr(schedule, name) for name in PLAIN_FIELDS},
        **{name: getattr(policy, name) for name in POLICY_FIELDS},
        **_when(schedule),
        "start_time": _iso(schedule.start_time),
        "expires": _iso(schedule.expires),
        "paused_until": _iso(policy.paused_until),
    }


def cron_of(definition: Definition) -> str:
    """Return its pattern for people: a crontab, an interval, or a moment."""
    if definition.get("crontab"):
        return str(definition["crontab"])
    if definition.get("interval"):
        return f"every {definition['interval']}"
    return str(definition.get("clocked") or definition.get("solar") or "no schedule")


def normal_crontab(expression: str) -> str:
    """Return a crontab with single spaces, so that two ways to write it are equal."""
    return " ".join(expression.split())


def arguments_of(schedule: PeriodicTask) -> dict[str, Any]:
    """
    Return the keyword arguments that its task is called with.

    :raises BrokenSchedule: naming the field that is no JSON of the right shape.
    """
    arguments: dict[str, Any] = _json(schedule, "kwargs", dict)
    return arguments


def positional_of(schedule: PeriodicTask) -> list[Any]:
    """:raises BrokenSchedule: if they are no JSON list."""
    arguments: list[Any] = _json(schedule, "args", list)
    return arguments


def headers_of(schedule: PeriodicTask) -> dict[str, Any]:
    """:raises BrokenSchedule: if they are no JSON object."""
    return {**_json(schedule, "headers", dict), "periodic_task_name": schedule.name}


def _json(schedule: PeriodicTask, field: str, shape: type[Any]) -> Any:
    text = getattr(schedule, field) or json.dumps(shape())
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BrokenSchedule(f"{field}: not JSON ({error}): {text:.100}") from None
    if not isinstance(value, shape):
        what = "an object" if shape is dict else "a list"
        raise BrokenSchedule(f"{field}: not JSON of {what}: {text:.100}")
    return value


def _when(schedule: PeriodicTask) -> Definition:
    crontab, interval = schedule.crontab, schedule.interval
    return {
        "crontab": crontab and crontab_of(crontab),
        "timezone": crontab and str(crontab.timezone),
        "interval": interval and f"{interval.every} {interval.period}",
        "clocked": schedule.clocked and _iso(schedule.clocked.clocked_time),
        "solar": schedule.solar and str(schedule.solar),
    }


def crontab_of(row: CrontabSchedule) -> str:
    """Return a crontab as one text; a field may hold spaces, and one that is empty is broken."""
    return " ".join(str(getattr(row, name)).replace(" ", "") for name in CRONTAB_FIELDS)


def _iso(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None

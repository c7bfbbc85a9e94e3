"""A schedule's times in words."""

from datetime import datetime
from zoneinfo import ZoneInfo

from django_celery_beat.models import PeriodicTask


def in_words(schedule: PeriodicTask) -> str:
    """Return when a schedule runs: "Every 5 minutes UTC", "every 10 seconds", "once at …"."""
    if schedule.crontab:
        return str(schedule.crontab.human_readable)
    if schedule.interval:
        return str(schedule.interval)
    if schedule.clocked:
        return f"once, {schedule.clocked.clocked_time:%Y-%m-%d %H:%M:%S} UTC"
    return "by the sun: refused" if schedule.solar else "never: it has no times"


def local_time(schedule: PeriodicTask, moment: datetime) -> str:
    """Return a slot in UTC, and in the schedule's own zone where that is another."""
    utc = f"{moment:%a %Y-%m-%d %H:%M:%S} UTC"
    zone = schedule.crontab and str(schedule.crontab.timezone)
    if not zone or zone == "UTC":
        return utc
    return f"{utc} ({moment.astimezone(ZoneInfo(zone)):%H:%M %Z})"

"""A schedule's times in words."""

from datetime import datetime
from zoneinfo import ZoneInfo

from celery.schedules import ParseException
from django_celery_beat.models import CrontabSchedule, PeriodicTask


def in_words(schedule: PeriodicTask) -> str:
    """Return when a schedule runs: "Every 5 minutes UTC", "every 10 seconds", "once at …"."""
    if schedule.crontab:
        return crontab_in_words(schedule.crontab)
    if schedule.interval:
        return str(schedule.interval)
    if schedule.clocked:
        return f"once, {schedule.clocked.clocked_time:%Y-%m-%d %H:%M:%S} UTC"
    return "by the sun: refused" if schedule.solar else "never: it has no times"


def crontab_in_words(crontab: CrontabSchedule) -> str:
    """Return a crontab in words; of one that can't be read, its pattern."""
    try:
        return str(crontab.human_readable)
    except (ParseException, ValueError):
        return str(crontab)


def local_time(schedule: PeriodicTask, moment: datetime) -> str:
    """Return a slot in UTC, and in the schedule's own zone where that is another."""
    utc = f"{moment:%a %Y-%m-%d %H:%M:%S} UTC"
    zone = schedule.crontab and str(schedule.crontab.timezone)
    if not zone or zone == "UTC":
        return utc
    try:
        return f"{utc} ({moment.astimezone(ZoneInfo(zone)):%H:%M %Z})"
    except OverflowError:  # The last day of the calendar.
        return utc

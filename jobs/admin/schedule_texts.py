"""What the admin says of a schedule's times: the next slots, how the last went, beat's own tick."""

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django_celery_beat.models import PeriodicTask

from jobs import queries as job_queries
from jobs.admin.schedule_policies import with_policy
from jobs.schedules import queries, words
from jobs.schedules.decide import is_paused
from jobs.schedules.queries import Record

#: Units of a time span, the largest first.
UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))


def next_slots(schedule: PeriodicTask) -> str:
    """Return when it runs in words, and its next five slots."""
    rows = [
        (words.local_time(schedule, each), _skipped(schedule, each)) for each in _next(schedule, 5)
    ]
    slots = format_html_join("", "<div>{}{}</div>", rows) or "No slot is to come."
    return format_html("<div>{}</div>{}", words.in_words(schedule), slots)


def next_slot(schedule: PeriodicTask) -> str:
    """Return in how long the next slot comes, with its time on hover."""
    slot = next(iter(_next(schedule, 1)), None)
    if slot is None:
        return "-"
    left = span(max(slot - timezone.now(), timedelta(0)))
    return _with_time(f"in {left}{_skipped(schedule, slot)}", schedule, slot)


def _skipped(schedule: PeriodicTask, slot: datetime) -> str:
    return ", skipped" if is_paused(with_policy(schedule).policy, slot) else ""


def last_run(schedule: PeriodicTask) -> str:
    if schedule.last_run_at is None:
        return "-"
    ago = span(max(timezone.now() - schedule.last_run_at, timedelta(0)))
    return _with_time(f"{ago} ago", schedule, schedule.last_run_at)


def _with_time(text: str, schedule: PeriodicTask, moment: datetime) -> str:
    """Return a text with the moment that it is about on hover."""
    cell = '<span class="whitespace-nowrap" title="{}">{}</span>'
    return format_html(cell, words.local_time(schedule, moment), text)


def _next(schedule: PeriodicTask, count: int) -> list[datetime]:
    return queries.next_slots(with_policy(schedule), count)


def success(record: Record) -> str:
    return "-" if record.success_rate is None else f"{record.success_rate:.0%}"


def record_in_words(record: Record) -> str:
    if record.success_rate is None:
        return "None of these slots has ended yet."
    text = f"{success(record)}: {record.succeeded} of {record.settled} succeeded"
    mean = record.mean_duration
    return f"{text}, in {span(mean)} on average." if mean is not None else f"{text}."


def span(length: timedelta) -> str:
    """Return a time span in one unit, rounded down: "240 ms", "12 s", "3 min", "5 h", "2 d"."""
    seconds = length.total_seconds()
    if 0 < seconds < 1:
        return f"{int(seconds * 1000)} ms"
    for unit, size in UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def beat() -> dict[str, str]:
    """Return when beat last ticked, as a line and its colour."""
    tick = job_queries.last_beat_tick()
    if tick is None:
        return {"text": "Beat has never ticked: nothing is started.", "colour": "danger"}
    silent = max(timezone.now() - tick, timedelta(0))
    if silent > timedelta(seconds=settings.ALERTS_BEAT_SILENT_SECONDS):
        return {"text": f"Beat has not ticked for {span(silent)}", "colour": "danger"}
    return {"text": f"Beat: last tick {span(silent)} ago", "colour": "success"}

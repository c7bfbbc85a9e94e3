"""`manage.py list_schedules`: every schedule, its next slot, and how its last ones went."""

from typing import Any

from django_celery_beat.models import PeriodicTask

from jobs.management.base import Row, TableCommand
from jobs.schedules import queries
from jobs.schedules.queries import Record
from jobs.schedules.words import in_words

LAST = 20


class Command(TableCommand):
    help = "Print each schedule with its pattern, its next slots and how its last ones went."

    def handle(self, **options: Any) -> None:
        whole = options["json"]
        rows = [row_of(schedule, whole=whole) for schedule in queries.list_schedules()]
        nothing = "No schedules: run manage.py sync_schedules."
        self.print_rows(rows, as_json=whole, nothing=nothing)


def row_of(schedule: PeriodicTask, *, whole: bool) -> Row:
    """Return what to print: for people the next slot alone, for programs the next five."""
    slots = queries.next_slots(schedule)
    last = queries.last_slots(schedule, LAST)
    record = queries.record_of(last)
    return {
        "name": schedule.name,
        "pattern": queries.pattern_of(schedule),
        "in_words": in_words(schedule),
        "task": schedule.task,
        "enabled": schedule.enabled,
        "why_disabled": schedule.cursor.disabled_reason if hasattr(schedule, "cursor") else "",
        "next": slots if whole else (f"{slots[0]:%Y-%m-%d %H:%M:%S}" if slots else ""),
        "last": last[-1].outcome if last else "",
        "success": percent(record),
    }


def percent(record: Record) -> str:
    """Return the share of the last slots that succeeded; nothing before the first has ended."""
    rate = record.success_rate
    return "" if rate is None else f"{rate:.0%} of {record.settled}"

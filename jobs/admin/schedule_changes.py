"""Who changed what of a schedule, as the admin says it."""

import json
from typing import Any

from django.utils.html import format_html_join
from django_celery_beat.models import PeriodicTask

from jobs.models import ScheduleRevision

CHANGES_SHOWN = 20
VALUE_SHOWN_CHARACTERS = 200


def changes(schedule: PeriodicTask) -> str:
    """Return its newest changes: who changed what, and when."""
    newest = ScheduleRevision.objects.filter(schedule=schedule).order_by("-from_at", "-id")
    rows = (
        (f"{each.from_at:%Y-%m-%d %H:%M:%S} UTC", each.by, changes_of(each))
        for each in newest[:CHANGES_SHOWN]
    )
    entry = '<div class="mb-2"><div>{}, {}:</div>{}</div>'
    return format_html_join("", entry, rows) or "none"


def changes_of(revision: ScheduleRevision) -> str:
    """Return what a revision changed, a line for each field; of the first, what it was set to."""
    rows = (
        (name, "" if is_first(revision) else f"{_value(before)} → ", _value(after))
        for name, (before, after) in revision.changes.items()
    )
    return format_html_join("", '<div class="pl-4">{}: {}{}</div>', rows) or "-"


def is_first(revision: ScheduleRevision) -> bool:
    """Tell whether it is the one with which its schedule began."""
    before, _ = revision.changes.get("name", ("", ""))
    return before is None


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:VALUE_SHOWN_CHARACTERS] or '""'

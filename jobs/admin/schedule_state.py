"""Whether a schedule runs at present, and why not, as the admin says it."""

from typing import Any

from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html
from django_celery_beat.models import PeriodicTask

from jobs.admin.schedule_policies import with_policy
from jobs.schedules import words
from jobs.schedules.decide import is_paused


def badge(schedule: PeriodicTask) -> str:
    """Return "enabled", "paused" or "disabled", with the reason on hover."""
    text, colour = _look(schedule)
    about = {"text": text, "type": colour, "label_title": reason(schedule)}
    return render_to_string("unfold/helpers/label.html", about)


def in_words(schedule: PeriodicTask) -> str:
    """Return the badge and, beside it, the reason."""
    return format_html("{} {}", badge(schedule), reason(schedule))


def reason(schedule: PeriodicTask) -> str:
    """Return why the scheduler has disabled it, until when it is paused, or nothing."""
    if not schedule.enabled:
        return schedule.cursor.disabled_reason if hasattr(schedule, "cursor") else ""
    if not paused(schedule):
        return ""
    return f"until {words.local_time(schedule, _policy(schedule).paused_until)}"


def paused(schedule: PeriodicTask) -> bool:
    return is_paused(_policy(schedule), timezone.now())


def _look(schedule: PeriodicTask) -> tuple[str, str]:
    if not schedule.enabled:
        return "disabled", "danger" if reason(schedule) else ""
    return ("paused", "warning") if paused(schedule) else ("enabled", "success")


def _policy(schedule: PeriodicTask) -> Any:
    return with_policy(schedule).policy

"""The admin's pages of schedules, for tests: their addresses, what they post and what they say."""

from typing import Any

from django.urls import reverse
from django_celery_beat.models import PeriodicTask

from tests.drills import run_atomic

LIST = reverse("admin:django_celery_beat_periodictask_changelist")
ADD = reverse("admin:django_celery_beat_periodictask_add")

#: What the page posts of the policy when nobody has touched it.
POLICY = {
    "missed": "run_once", "grace_seconds": "60", "catch_up_seconds": "86400",
    "catch_up_per_minute": "60", "overlap": "allow", "waiting_max": "1000",
}  # fmt: skip


def page_of(row: Any, action: str = "change") -> str:
    opts = row._meta
    return reverse(f"admin:{opts.app_label}_{opts.model_name}_{action}", args=[row.pk])


def text_of(answer: Any) -> str:
    assert answer.status_code == 200, answer.status_code
    return str(answer.content.decode())


def said(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def form_of(schedule: PeriodicTask | None = None, **changed: Any) -> dict[str, Any]:
    """Return what a schedule's page posts, with some of it changed; without one, the empty page."""
    given = {
        "name": "nightly", "task": run_atomic.name, "enabled": "on", "kwargs": "{}",
        "args": "[]", "headers": "{}", "policy-TOTAL_FORMS": "1",
        "policy-INITIAL_FORMS": "1" if schedule else "0", **policy_form(schedule),
    }  # fmt: skip
    if schedule is not None:
        given |= {"name": schedule.name, "crontab": str(schedule.crontab_id)}
    return {**given, **changed}


def policy_form(schedule: PeriodicTask | None, **changed: str) -> dict[str, str]:
    given = {f"policy-0-{name}": value for name, value in {**POLICY, **changed}.items()}
    return {**given, "policy-0-schedule": str(schedule.pk)} if schedule else given


def errors_of(answer: Any) -> dict[str, str]:
    """Return what a page that was refused says at each field."""
    assert answer.status_code == 200, answer.status_code
    errors = answer.context["adminform"].form.errors
    return {field: " ".join(texts) for field, texts in errors.items()}

"""The form of a schedule: whatever beat would refuse is refused here, at its field."""

import re
from typing import Any

from celery import current_app
from django import forms
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelect2Widget, UnfoldAdminTextInputWidget

from jobs import registry
from jobs.admin.schedule_policies import with_policy
from jobs.errors import EnqueueRefused, PayloadRefused, UnknownTaskType
from jobs.schedules.errors import BrokenSchedule
from jobs.schedules.signals import SOLAR_REFUSED
from jobs.schedules.validity import check_schedule

#: By which field a fault is mended whose text begins with another word.
MENDED_AT = {"time": "crontab", "payload": "kwargs"}

#: Celery's own: parts of canvases, which nobody calls by the clock.
CELERYS_OWN = "celery."

#: How many lines of a text are shown.
ROWS = {"description": 2, "kwargs": 5, "args": 2, "headers": 3}

PAST = "This moment has passed: no slot is to come. Choose another, or disable it and run it now."

EITHER_EXPIRY = "Either a moment or a number of seconds; both are set."

Choices = list[tuple[str, Any]]


class ScheduleForm(forms.ModelForm):
    """Checks what beat checks before it runs a slot, so nothing is saved that it would disable."""

    task = forms.CharField(max_length=200, widget=UnfoldAdminSelect2Widget)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "task" in self.fields:  # It is absent from a page that may only be read.
            self.fields["task"].widget.choices = task_choices(self.instance.task)
        if "solar" in self.fields:
            self.fields["solar"].help_text = SOLAR_REFUSED
        for name in self.fields.keys() & ROWS.keys():
            self.fields[name].widget.attrs["rows"] = ROWS[name]

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("expires") and given.get("expire_seconds") is not None:
            self.add_error("expire_seconds", EITHER_EXPIRY)
        clocked = given.get("clocked")
        if given.get("enabled") and clocked and clocked.clocked_time <= timezone.now():
            self.add_error("clocked", PAST)
        return given

    def full_clean(self) -> None:
        """Check the schedule once the form has made it of its fields; `clean` comes before that."""
        super().full_clean()
        if self.is_bound and not self.errors:
            self._check()

    def _check(self) -> None:
        try:
            check_schedule(with_policy(self.instance))
        except UnknownTaskType:
            self.add_error("task", f"{self.instance.task!r} is no job type and no Celery task.")
        except (BrokenSchedule, EnqueueRefused) as fault:
            self.add_error(self._field_of(fault), str(fault))

    def _field_of(self, fault: Exception) -> str | None:
        """Return the field that a fault begins with; of one that names none, the whole form."""
        if isinstance(fault, PayloadRefused):
            return "kwargs"
        name = re.match(r"\w*", str(fault))[0]  # type: ignore[index]  # It always matches.
        name = MENDED_AT.get(name, name)
        return name if name in self.fields else None


class PauseForm(forms.Form):
    until = forms.DateTimeField(
        label="Skip its slots until (UTC)",
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"}),
    )


def task_choices(present: str) -> Choices:
    """Return job types, plain Celery tasks, and what a schedule calls that is neither."""
    types = [each.name for each in registry.all_types()]
    tasks = set(current_app.tasks) - set(types)
    plain = sorted(name for name in tasks if not name.startswith(CELERYS_OWN))
    choices: Choices = [("", "Select a task")]
    if present and present not in (*types, *plain):
        choices.append((present, present))
    return [*choices, ("Job types", _named(types)), ("Plain Celery tasks", _named(plain))]


def _named(names: list[str]) -> Choices:
    return [(name, name) for name in names]

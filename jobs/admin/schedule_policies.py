"""A schedule's policy, as a part of its page."""

from copy import copy
from typing import Any

from django.db.models import Model
from django.forms import BaseInlineFormSet
from django.http import HttpRequest
from django_celery_beat.models import PeriodicTask
from unfold.admin import StackedInline

from jobs.models import SchedulePolicy
from jobs.schedules.definitions import POLICY_FIELDS
from jobs.schedules.locking import policy_of


class PolicyFormSet(BaseInlineFormSet):
    """
    Changes the row that there is, also of a new schedule: its first save has created it.

    Only what was edited is written: a pause that began meanwhile stays.
    """

    def save_new(self, form: Any, commit: bool = True) -> SchedulePolicy:
        return self.save_existing(form, policy_of(self.instance), commit)

    def save_existing(self, form: Any, obj: SchedulePolicy, commit: bool = True) -> SchedulePolicy:
        for name in form.changed_data:
            setattr(obj, name, form.cleaned_data[name])
        if commit:
            obj.save(update_fields=form.changed_data)
        return obj


class PolicyInline(StackedInline):
    model = SchedulePolicy
    formset = PolicyFormSet
    extra = max_num = 1
    can_delete = False
    hide_title = True
    verbose_name_plural = "policy"
    fields = (*POLICY_FIELDS, "paused_until")
    readonly_fields = ("paused_until",)  # An operation pauses, and remembers since when.

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_change_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return True  # Who may see the schedule may see it.

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def with_policy(schedule: PeriodicTask) -> PeriodicTask:
    """Return the schedule with a policy: of one that has none yet, a copy with the defaults."""
    if hasattr(schedule, "policy"):
        return schedule
    whole = copy(schedule)
    whole.policy = SchedulePolicy()
    return whole

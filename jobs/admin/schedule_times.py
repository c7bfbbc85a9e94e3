"""The times that schedules share, in the admin: crontabs, intervals, moments, events of the sun."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Model, QuerySet
from django.http import HttpRequest
from django_celery_beat import models as beat
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminSelect2Widget

from jobs.admin.base import LedgerInline, link
from jobs.admin.changes_by_name import ChangesByName
from jobs.admin.schedule_policies import with_policy
from jobs.admin.stock_pages import register_instead
from jobs.schedules import words
from jobs.schedules.definitions import definition_of
from jobs.schedules.errors import BrokenSchedule
from jobs.schedules.validity import check_times


class UsersInline(LedgerInline):
    model = beat.PeriodicTask
    hide_title = True
    verbose_name_plural = "schedules that use it: all of them change with it"
    fields = readonly_fields = ("page", "task", "enabled")

    @admin.display(description="Schedule")
    def page(self, schedule: beat.PeriodicTask) -> str:
        return link(schedule)


class TimesForm(forms.ModelForm):
    """Refuses times that no schedule could keep: those that use them would be disabled."""

    used_as = ""  #: The column by which a schedule points to them.

    def full_clean(self) -> None:
        super().full_clean()
        if self.is_bound and not self.errors:
            self._check()

    def _check(self) -> None:
        schedule = beat.PeriodicTask(**{self.used_as: self.instance})
        try:
            check_times(definition_of(with_policy(schedule)))
        except BrokenSchedule as fault:
            self.add_error(None, str(fault))


class CrontabForm(TimesForm):
    used_as = "crontab"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "timezone" in self.fields:  # It is absent from a page that may only be read.
            zone: Any = self.fields["timezone"]
            zone.widget = UnfoldAdminSelect2Widget(choices=zone.choices)


class IntervalForm(TimesForm):
    used_as = "interval"


class ClockedForm(TimesForm):
    used_as = "clocked"


class TimesAdmin(ChangesByName):
    inlines = (UsersInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).annotate(users=Count("periodictask"))

    def get_deleted_objects(self, objs: Iterable[Model], request: HttpRequest) -> Any:
        """Protect what schedules use: they would be deleted with it."""
        found, counts, needed, _ = super().get_deleted_objects(objs, request)
        column = self.form.used_as
        users = beat.PeriodicTask.objects.filter(**{f"{column}__in": objs}).order_by("name")
        return found, counts, needed, [link(each) for each in users]

    @admin.display(description="Schedules", ordering="users")
    def used_by(self, row: Any) -> int:
        return int(row.users)


@register_instead(beat.CrontabSchedule)
class CrontabAdmin(TimesAdmin):
    form = CrontabForm
    list_display = ("__str__", "in_words", "used_by")
    fields = ("in_words", "minute", "hour", "day_of_month", "month_of_year", "day_of_week",
              "timezone")  # fmt: skip
    readonly_fields = ("in_words",)

    @admin.display(description="In words")
    def in_words(self, crontab: beat.CrontabSchedule) -> str:
        return words.crontab_in_words(crontab)


@register_instead(beat.IntervalSchedule)
class IntervalAdmin(TimesAdmin):
    form = IntervalForm
    list_display = ("__str__", "used_by")


@register_instead(beat.ClockedSchedule)
class ClockedAdmin(TimesAdmin):
    form = ClockedForm
    list_display = ("clocked_time", "used_by")


@register_instead(beat.SolarSchedule)
class SolarAdmin(ModelAdmin):
    """Rows that django-celery-beat has a table for; they can be looked at and deleted."""

    list_before_template = change_form_outer_before_template = "admin/jobs/solar_refused.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

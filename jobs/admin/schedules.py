"""Schedules in the admin: when they run, how they went, and what may be done to them."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django_celery_beat.models import PeriodicTask
from unfold.decorators import action

from jobs.admin import schedule_state
from jobs.admin import schedule_texts as texts
from jobs.admin.base import ActingAdmin
from jobs.admin.changes_by_name import ChangesByName
from jobs.admin.schedule_changes import changes
from jobs.admin.schedule_forms import PauseForm, ScheduleForm
from jobs.admin.schedule_policies import PolicyInline
from jobs.admin.schedule_strip import legend, strip
from jobs.admin.stock_pages import register_instead
from jobs.models import Slot
from jobs.schedules import operations, queries, words
from jobs.schedules.locking import RELATED


@register_instead(PeriodicTask)
class ScheduleAdmin(ChangesByName, ActingAdmin):
    form = ScheduleForm
    inlines = (PolicyInline,)
    list_display = ("name", "badge", "when", "next_one", "last_ones", "succeeded", "last_run")
    list_filter = ("enabled", "task")
    list_per_page = 50
    list_before_template = "admin/jobs/beat.html"
    search_fields = ("name",)
    ordering = ("name",)
    actions = (
        "run_selected", "enable_selected", "disable_selected", "pause_selected", "resume_selected",
    )  # fmt: skip
    actions_detail = ("run_now", "pause", "resume", "enable", "disable")
    readonly_fields = (
        "state", "next_five", "last_twenty", "record", "last_run", "runs", "changed",
    )  # fmt: skip
    how_it_goes = (
        "How it goes",
        {"fields": ("state", "next_five", "last_twenty", "record", "last_run", "runs")},
    )
    who_changed_it = ("Who changed it", {"classes": ("collapse",), "fields": ("changed",)})
    definition = (
        (None, {"fields": ("name", "task", "enabled", "description")}),
        (
            "When",
            {"fields": ("crontab", "interval", "clocked", "solar", "one_off", "start_time",
                        "expires")},
        ),
        ("Payload", {"fields": ("kwargs", "args")}),
        (
            "Message",
            {
                "classes": ("collapse",),
                "fields": ("priority", "expire_seconds", "headers", "queue", "exchange",
                           "routing_key"),
            },
        ),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[PeriodicTask]:
        return super().get_queryset(request).select_related(*RELATED)

    def get_fieldsets(self, request: HttpRequest, obj: PeriodicTask | None = None) -> Any:
        if obj is None:
            return self.definition
        return (self.how_it_goes, *self.definition, self.who_changed_it)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        shown = {"title": "Schedules", "beat": texts.beat()}
        return super().changelist_view(request, {**(extra_context or {}), **shown})

    def save_model(self, request: HttpRequest, obj: PeriodicTask, form: Any, change: bool) -> None:
        """Write only what was edited: a run of beat's that came meanwhile stays counted."""
        if not change:
            return super().save_model(request, obj, form, change)
        obj.save(update_fields=[*form.changed_data, "date_changed"])
        return None

    # --- Who may do what ------------------------------------------------------------------------

    def has_trigger_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("jobs.trigger_schedule")

    def has_pause_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("jobs.pause_schedule")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """Offer what the schedule is not already: no "Enable" where it is enabled."""
        schedule = self.get_object(request, object_id)
        idle = idle_actions(schedule) if schedule else set()
        offered = super().get_actions_detail(request, object_id)
        return [each for each in offered if each.path not in idle]

    # --- One ------------------------------------------------------------------------------------

    @action(description="Run now", permissions=["trigger"], icon="play_arrow", url_path="run-now")
    def run_now(self, request: HttpRequest, object_id: str) -> HttpResponse:
        act = self._running(request)
        return self.act_on_one(request, object_id, question="Run this schedule now", act=act)

    @action(description="Pause", permissions=["pause"], icon="pause")
    def pause(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.act_on_one(
            request,
            object_id,
            question="Pause this schedule",
            act=self._pausing(request),
            form_class=PauseForm,
        )

    @action(description="Resume", permissions=["pause"], icon="resume")
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        act = self._resuming(request)
        return self.act_on_one(request, object_id, question="Resume this schedule", act=act)

    @action(description="Enable", permissions=["change"], icon="toggle_on")
    def enable(self, request: HttpRequest, object_id: str) -> HttpResponse:
        act = self._switching(request, enabled=True)
        return self.act_on_one(request, object_id, question="Enable this schedule", act=act)

    @action(description="Disable", permissions=["change"], icon="toggle_off")
    def disable(self, request: HttpRequest, object_id: str) -> HttpResponse:
        act = self._switching(request, enabled=False)
        return self.act_on_one(request, object_id, question="Disable this schedule", act=act)

    # --- The selected ---------------------------------------------------------------------------

    @admin.action(description="Run selected schedules now", permissions=["trigger"])
    def run_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        act = self._running(request)
        return self.act_on_selected_after_asking(request, queryset, verb="Run now:", act=act)

    @admin.action(description="Pause selected schedules", permissions=["pause"])
    def pause_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        return self.act_on_selected_after_asking(
            request, queryset, verb="Pause", act=self._pausing(request), form_class=PauseForm
        )

    @admin.action(description="Resume selected schedules", permissions=["pause"])
    def resume_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self.act_on_selected(request, queryset, act=self._resuming(request))

    @admin.action(description="Enable selected schedules", permissions=["change"])
    def enable_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self.act_on_selected(request, queryset, act=self._switching(request, enabled=True))

    @admin.action(description="Disable selected schedules", permissions=["change"])
    def disable_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self.act_on_selected(request, queryset, act=self._switching(request, enabled=False))

    # --- What they do ---------------------------------------------------------------------------

    def _running(self, request: HttpRequest) -> Any:
        def act(schedule: PeriodicTask) -> str:
            slot = operations.trigger_schedule(schedule_id=schedule.pk, by=str(request.user))
            return f"{schedule.name} runs now as job {slot.job_id}."

        return act

    def _pausing(self, request: HttpRequest) -> Any:
        def act(schedule: PeriodicTask, until: datetime) -> str:
            by = str(request.user)
            operations.pause_schedule(schedule_id=schedule.pk, until=until, by=by)
            return f"Paused {schedule.name} until {until:%Y-%m-%d %H:%M} UTC."

        return act

    def _resuming(self, request: HttpRequest) -> Any:
        def act(schedule: PeriodicTask) -> str:
            operations.resume_schedule(schedule_id=schedule.pk, by=str(request.user))
            return f"{schedule.name} is not paused."

        return act

    def _switching(self, request: HttpRequest, *, enabled: bool) -> Any:
        def act(schedule: PeriodicTask) -> str:
            by = str(request.user)
            operations.switch_schedule(schedule_id=schedule.pk, enabled=enabled, by=by)
            return f"{'Enabled' if enabled else 'Disabled'} {schedule.name}."

        return act

    # --- Columns --------------------------------------------------------------------------------

    @admin.display(description="State", ordering="enabled")
    def badge(self, schedule: PeriodicTask) -> str:
        return schedule_state.badge(schedule)

    @admin.display(description="When")
    def when(self, schedule: PeriodicTask) -> str:
        return words.in_words(schedule)

    @admin.display(description="Next")
    def next_one(self, schedule: PeriodicTask) -> str:
        return texts.next_slot(schedule)

    @admin.display(description="Last 20 slots")
    def last_ones(self, schedule: PeriodicTask) -> str:
        return strip(slots_of(schedule))

    @admin.display(description="Success")
    def succeeded(self, schedule: PeriodicTask) -> str:
        return texts.success(queries.record_of(slots_of(schedule)))

    @admin.display(description="Last run", ordering="last_run_at")
    def last_run(self, schedule: PeriodicTask) -> str:
        return texts.last_run(schedule)

    @admin.display(description="State")
    def state(self, schedule: PeriodicTask) -> str:
        return schedule_state.in_words(schedule)

    @admin.display(description="Next slots")
    def next_five(self, schedule: PeriodicTask) -> str:
        return texts.next_slots(schedule)

    @admin.display(description="Last 20 slots")
    def last_twenty(self, schedule: PeriodicTask) -> str:
        return format_html("{}{}", strip(slots_of(schedule)), legend())

    @admin.display(description="Success")
    def record(self, schedule: PeriodicTask) -> str:
        return texts.record_in_words(queries.record_of(slots_of(schedule)))

    @admin.display(description="Runs")
    def runs(self, schedule: PeriodicTask) -> int:
        return int(schedule.total_run_count)

    @admin.display(description="Changes")
    def changed(self, schedule: PeriodicTask) -> str:
        return changes(schedule)


def idle_actions(schedule: PeriodicTask) -> set[str]:
    """Return which of the buttons would change nothing."""
    switch = "enable" if schedule.enabled else "disable"
    return {switch} if schedule_state.paused(schedule) else {switch, "resume"}


def slots_of(schedule: Any) -> list[Slot]:
    """Return its last slots, read once for all that is shown of it."""
    if not hasattr(schedule, "slots_shown"):
        schedule.slots_shown = queries.last_slots(schedule)
    return schedule.slots_shown

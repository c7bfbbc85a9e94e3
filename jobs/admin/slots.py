"""Slots and revisions of schedules in the admin: what ran when, and who changed what."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django_celery_beat.models import PeriodicTask
from unfold.decorators import display

from jobs.admin.base import LedgerAdmin, link
from jobs.admin.jobs import STATE_COLOURS
from jobs.admin.schedule_changes import changes_of, is_first
from jobs.admin.schedule_texts import span
from jobs.models import ScheduleRevision, Slot
from jobs.states import SlotOutcome

OUTCOME_COLOURS = {
    SlotOutcome.RAN: "success",
    SlotOutcome.LATE: "warning",
    SlotOutcome.CAUGHT_UP: "info",
    SlotOutcome.WAITING: "info",
    SlotOutcome.FAILED: "danger",
    # Grey; only with a colour does unfold show the label in place of the value.
    SlotOutcome.SKIPPED_BY_OVERLAP: "",
    SlotOutcome.SKIPPED_BY_PAUSE: "",
    SlotOutcome.SKIPPED_BY_POLICY: "",
}
ERROR_SHOWN_CHARACTERS = 80

#: Longer numbers are no keys, and databases refuse them.
KEY_MAX_DIGITS = 9


class ScheduleFilter(admin.SimpleListFilter):
    """Offers deleted ones too: their slots are still there."""

    title = "schedule"
    parameter_name = "schedule_id"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        present = PeriodicTask.objects.order_by("name").values_list("pk", "name")
        deletions = ScheduleRevision.objects.filter(changes__has_key="deleted")
        gone = deletions.order_by("schedule_name").values_list("schedule_id", "schedule_name")
        named = [(str(key), name) for key, name in present]
        return named + [(str(key), f"{name} (deleted)") for key, name in gone]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value() or ""
        known = value.isdecimal() and len(value) <= KEY_MAX_DIGITS
        return queryset.filter(schedule_id=int(value)) if known else queryset


@admin.register(Slot)
class SlotAdmin(LedgerAdmin):
    list_display = ("moment", "schedule_name", "badge", "lateness", "job_state", "asked_by",
                    "short_error")  # fmt: skip
    list_filter = ("outcome", ScheduleFilter)
    ordering = ("-at",)
    fields = ("schedule_link", "moment", "badge", "lateness", "job_link", "job_state", "asked_by",
              "decided_at", "error")  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Slot]:
        # The job may be deleted: joined, it is None then, and not an error.
        return super().get_queryset(request).select_related("job")

    @admin.display(description="At (UTC)", ordering="at")
    def moment(self, slot: Slot) -> str:
        return f"{slot.at:%Y-%m-%d %H:%M:%S}"

    @display(description="Outcome", ordering="outcome", label=OUTCOME_COLOURS)
    def badge(self, slot: Slot) -> tuple[str, str]:
        return slot.outcome, slot.get_outcome_display()

    @admin.display(description="Late by")
    def lateness(self, slot: Slot) -> str:
        """Of a run by hand it says nothing: its time is pretended."""
        if slot.asked_by or slot.job_id is None:
            return "-"
        return span(slot.decided_at - slot.at)

    @admin.display(description="Schedule")
    def schedule_link(self, slot: Slot) -> str:
        schedule = PeriodicTask.objects.filter(pk=slot.schedule_id).first()
        return link(schedule) if schedule else f"{slot.schedule_name} (deleted)"

    @admin.display(description="Job")
    def job_link(self, slot: Slot) -> str:
        if slot.job is None and slot.job_id is not None:
            return f"{slot.job_id} (deleted since)"
        return link(slot.job)

    @display(description="Job's state", label=STATE_COLOURS)
    def job_state(self, slot: Slot) -> str:
        return slot.job.state if slot.job else ""

    @admin.display(description="Error")
    def short_error(self, slot: Slot) -> str:
        return slot.error[:ERROR_SHOWN_CHARACTERS] or "-"


@admin.register(ScheduleRevision)
class ScheduleRevisionAdmin(LedgerAdmin):
    list_display = ("from_at", "schedule_name", "by", "in_short")
    list_filter = (ScheduleFilter,)
    search_fields = ("schedule_name", "by")
    fields = ("from_at", "schedule_name", "by", "changed")

    @admin.display(description="Changes")
    def in_short(self, revision: ScheduleRevision) -> str:
        return "created" if is_first(revision) else changes_of(revision)

    @admin.display(description="Changes")
    def changed(self, revision: ScheduleRevision) -> str:
        return changes_of(revision)

"""Jobs and their attempts in the admin."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from unfold.decorators import action, display

from jobs import operations, registry
from jobs.admin import tenants
from jobs.admin.base import LedgerAdmin, LedgerInline, age, link, preformatted
from jobs.admin.tenants import TenantFilter
from jobs.models import Attempt, Job, Slot
from jobs.states import JobState, Outcome

#: Colours of the badges.
STATE_COLOURS = {
    JobState.RUNNING: "info",
    JobState.RETRYING: "warning",
    JobState.SUCCEEDED: "success",
    JobState.FAILED: "danger",
}
OUTCOME_COLOURS = {
    Outcome.SUCCEEDED: "success",
    Outcome.FAILED: "danger",
    Outcome.LOST: "warning",
}
ERROR_SHOWN_CHARACTERS = 80


class TypeFilter(admin.SimpleListFilter):
    title = "type"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(job_type.name, job_type.name) for job_type in registry.all_types()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Job]) -> QuerySet[Job]:
        return queryset.filter(type=self.value()) if self.value() else queryset


class AttemptInline(LedgerInline):
    model = Attempt
    verbose_name_plural = "attempts that have ended"
    fields = readonly_fields = ("attempt", "how", "error", "worker", "started_at", "ended_at")
    ordering = ("attempt",)

    @display(description="Outcome", label=OUTCOME_COLOURS)
    def how(self, attempt: Attempt) -> str:
        return attempt.outcome

    @admin.display(description="Error")
    def error(self, attempt: Attempt) -> str:
        if not attempt.error_type:
            return "-"
        return format_html(
            "<details><summary>{}: {}</summary>{}</details>",
            attempt.error_type,
            attempt.error_message,
            preformatted(attempt.traceback),
        )


@admin.register(Job)
class JobAdmin(LedgerAdmin):
    inlines = (AttemptInline,)
    list_display = ("type", "tenant", "badge", "attempts", "since", "short_error", "id")
    list_filter = ("state", TypeFilter, TenantFilter)
    search_fields = ("id",)
    searched_ids = ("pk", "tenant_id")
    search_help_text = "A tenant's name or id, or the id of a job."
    actions = ("cancel_selected", "run_selected_again")
    actions_detail = ("cancel", "run_again")
    fieldsets = (
        (
            None,
            {"fields": ("badge", "error", "type", "id", "tenant_and_id", "user_id",
                        "indented_payload")},
        ),
        ("Line", {"fields": ("replay_of_link", "replayed_by_link", "dead_letter_link", "slot_link",
                                "key")}),
        (
            "Where it is",
            {"fields": ("queue", "partition", "dispatch", "copies", "attempt", "worker")},
        ),
        ("Counts", {"fields": ("attempts", "failures", "losses")}),
        (
            "Times",
            {"fields": ("created_at", "run_at", "expires_at", "queued_at", "started_at",
                        "lease_until", "settled_at")},
        ),
    )  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Job]:
        return tenants.with_tenant_names(super().get_queryset(request))

    def has_cancel_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("jobs.cancel_job")

    def has_replay_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("jobs.replay_job")

    # --- Actions --------------------------------------------------------------------------------

    @action(description="Cancel", permissions=["cancel"], icon="cancel")
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        act = self._cancelling(request)
        return self.act_on_one(request, object_id, question="Cancel this job", act=act)

    @action(description="Run again", permissions=["replay"], icon="replay", url_path="run-again")
    def run_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        act = self._replaying(request)
        return self.act_on_one(request, object_id, question="Run this job again", act=act)

    @admin.action(description="Cancel selected jobs", permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self.act_on_selected(request, queryset, act=self._cancelling(request))

    @admin.action(description="Run selected jobs again", permissions=["replay"])
    def run_selected_again(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self.act_on_selected(request, queryset, act=self._replaying(request))

    def _cancelling(self, request: HttpRequest) -> Any:
        def act(job: Job) -> str:
            operations.cancel_job(job_id=job.pk, by=str(request.user))
            return f"Cancelled {job}."

        return act

    def _replaying(self, request: HttpRequest) -> Any:
        def act(job: Job) -> str:
            new = operations.replay_job(job_id=job.pk, by=str(request.user))
            return f"{job} runs again as {new.pk}."

        return act

    # --- Columns --------------------------------------------------------------------------------

    @display(description="State", ordering="state", label=STATE_COLOURS)
    def badge(self, job: Job) -> str:
        return job.state

    @admin.display(description="Tenant")
    def tenant(self, job: Job) -> str:
        return tenants.link_to_tenant(job)

    @admin.display(description="Tenant")
    def tenant_and_id(self, job: Job) -> str:
        return tenants.link_and_id_of_tenant(job)

    @admin.display(description="Age", ordering="id")
    def since(self, job: Job) -> str:
        return age(job.created_at)

    @admin.display(description="Error")
    def short_error(self, job: Job) -> str:
        return job.error[:ERROR_SHOWN_CHARACTERS] or "-"

    @admin.display(description="Payload")
    def indented_payload(self, job: Job) -> str:
        return preformatted(json.dumps(job.payload, indent=2, ensure_ascii=False))

    @admin.display(description="Runs again what")
    def replay_of_link(self, job: Job) -> str:
        return link(job.replay_of)

    @admin.display(description="Dead letter")
    def dead_letter_link(self, job: Job) -> str:
        return link(job.dead_letters.order_by("id").last())

    @admin.display(description="Slot of a schedule")
    def slot_link(self, job: Job) -> str:
        # Retention may have been faster: then the slot is gone.
        return link(Slot.objects.filter(pk=job.slot_id).first() if job.slot_id else None)

    @admin.display(description="Run again as")
    def replayed_by_link(self, job: Job) -> str:
        return link(Job.objects.filter(replay_of=job).first())

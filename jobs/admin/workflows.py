"""Workflows in the admin: where each is, how it got there, and what may be done to it."""

import uuid
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin import AllValuesFieldListFilter
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import action

from jobs.admin import tenants
from jobs.admin import workflow_cells as cells
from jobs.admin.base import age, link, preformatted
from jobs.admin.countdown import in_utc
from jobs.admin.moving import MovingAdmin
from jobs.admin.workflow_filters import AgeFilter
from jobs.admin.workflow_forms import DeadlineForm, restart_form_of
from jobs.admin.workflow_lines import as_text
from jobs.admin.workflow_steps import last_step
from jobs.errors import JobError
from jobs.models import Job, Workflow, WorkflowTimer
from jobs.states import WorkflowStatus
from jobs.workflows import operations
from jobs.workflows.errors import WorkflowError
from jobs.workflows.timers import TIMEOUT

#: The cells of a workflow's page that are as wide as it is.
CARDS = ("error", "timeline", "timers", "history")


@admin.register(Workflow)
class WorkflowAdmin(MovingAdmin):
    refusals = (WorkflowError, JobError)
    row_cells = cells.ROW_CELLS
    page_cells = cells.PAGE_CELLS
    list_display = ("name_and_id", "tenant", "status_cell", "progress_cell", "step_cell", "since",
                    "deadline_cell")  # fmt: skip
    list_filter = ("status", tenants.TenantFilter, ("name", AllValuesFieldListFilter), AgeFilter)
    search_fields = ("id",)
    searched_ids = ("pk", "tenant_id")
    search_help_text = "A tenant's name or id, or the id of a workflow or of a step's job."
    actions = ("cancel_selected",)
    actions_detail = ("cancel", "restart", "move_deadline")
    change_form_before_template = "admin/jobs/workflow_page.html"
    fieldsets = (
        (
            "What it is",
            {"fields": ("name", "version", "id", "tenant_and_id", "user_id", "key")},
        ),
        ("Times", {"fields": ("started", "ended_cell")}),
        ("State", {"fields": ("state_cell", "began_with")}),
    )

    class Media:
        js = ("jobs/countdown.js",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Workflow]:
        deadline = WorkflowTimer.objects.filter(workflow=OuterRef("pk"), name=TIMEOUT)
        workflows = (
            super()
            .get_queryset(request)
            .annotate(deadline_at=Subquery(deadline.values("due_at")[:1]))
        )
        return tenants.with_tenant_names(workflows)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Workflow], search_term: str
    ) -> tuple[QuerySet[Workflow], bool]:
        """Find a workflow by the job of a step, too: the job's payload names it."""
        workflow_id = workflow_of_job(search_term.strip())
        if workflow_id:
            return queryset.filter(pk=workflow_id), False
        return super().get_search_results(request, queryset, search_term)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        workflow = self.get_object(request, object_id)
        shown = {"cells": self._page(workflow)} if workflow else {}
        context = {**(extra_context or {}), **shown}
        return super().change_view(request, object_id, form_url, context)

    def _page(self, workflow: Workflow) -> dict[str, Any]:
        summary = ("status", "progress", "step", "deadline")
        return {
            "summary": [(name.capitalize(), self.moving(name, workflow)) for name in summary],
            "line": line_of(workflow),
            **{name: self.moving(name, workflow) for name in CARDS},
        }

    # --- Who may do what ------------------------------------------------------------------------

    def has_cancel_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("jobs.cancel_workflow")

    def has_restart_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("jobs.restart_workflow")

    def has_move_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("jobs.move_workflow")

    def idle_actions(self, row: Workflow) -> set[str]:
        return idle_actions(row)

    # --- Actions --------------------------------------------------------------------------------

    @action(description="Cancel", permissions=["cancel"], icon="cancel")
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        act = self._cancelling(request)
        return self.act_on_one(request, object_id, question="Cancel this workflow", act=act)

    @action(description="Restart from a step", permissions=["restart"], icon="replay")
    def restart(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.act_on_one(
            request,
            object_id,
            question="Restart this workflow",
            act=self._restarting(request),
            form_class=restart_form_of(self.get_object(request, object_id)),
        )

    @action(description="Move the deadline", permissions=["move"], icon="more_time")
    def move_deadline(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.act_on_one(
            request,
            object_id,
            question="Move the deadline of this workflow",
            act=self._moving_deadline(request),
            form_class=DeadlineForm,
        )

    @admin.action(description="Cancel selected workflows", permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Workflow]) -> None:
        self.act_on_selected(request, queryset, act=self._cancelling(request))

    def _cancelling(self, request: HttpRequest) -> Any:
        def act(workflow: Workflow) -> str:
            operations.cancel_workflow(workflow_id=workflow.pk, by=str(request.user))
            return f"Cancelled {workflow}."

        return act

    def _restarting(self, request: HttpRequest) -> Any:
        def act(workflow: Workflow, from_step: int) -> str:
            by = str(request.user)
            new = operations.restart_workflow(workflow_id=workflow.pk, by=by, from_step=from_step)
            return f"{workflow} goes on from step {last_step(new)} as {new.pk}."

        return act

    def _moving_deadline(self, request: HttpRequest) -> Any:
        def act(workflow: Workflow, minutes: int) -> str:
            by, due_at = str(request.user), timezone.now() + timedelta(minutes=minutes)
            operations.set_timer(workflow_id=workflow.pk, name=TIMEOUT, due_at=due_at, by=by)
            return f"{workflow} times out at {in_utc(due_at)}."

        return act

    # --- Columns --------------------------------------------------------------------------------

    @admin.display(description="Name")
    def name_and_id(self, workflow: Workflow) -> str:
        return format_html('{}<div class="text-xs">{}</div>', workflow.name, workflow.pk)

    @admin.display(description="Tenant")
    def tenant(self, workflow: Workflow) -> str:
        return tenants.link_to_tenant(workflow)

    @admin.display(description="Tenant")
    def tenant_and_id(self, workflow: Workflow) -> str:
        return tenants.link_and_id_of_tenant(workflow)

    @admin.display(description="Status", ordering="status")
    def status_cell(self, workflow: Workflow) -> str:
        return self.moving("status", workflow)

    @admin.display(description="Progress")
    def progress_cell(self, workflow: Workflow) -> str:
        return self.moving("progress", workflow)

    @admin.display(description="Step")
    def step_cell(self, workflow: Workflow) -> str:
        return self.moving("step", workflow)

    @admin.display(description="Deadline")
    def deadline_cell(self, workflow: Workflow) -> str:
        return self.moving("deadline", workflow)

    @admin.display(description="Age", ordering="id")
    def since(self, workflow: Workflow) -> str:
        return age(workflow.created_at)

    @admin.display(description="Started at")
    def started(self, workflow: Workflow) -> str:
        return in_utc(workflow.created_at)

    @admin.display(description="Ended at")
    def ended_cell(self, workflow: Workflow) -> str:
        return self.moving("ended", workflow)

    @admin.display(description="State")
    def state_cell(self, workflow: Workflow) -> str:
        return self.moving("state", workflow)

    @admin.display(description="It began with")
    def began_with(self, workflow: Workflow) -> str:
        return preformatted(as_text(workflow.initial_state))


def line_of(workflow: Workflow) -> list[tuple[str, str]]:
    """Return what it goes on with, and what goes on with it, as far as there are any."""
    again = Workflow.objects.filter(restart_of=workflow).first()
    line = (("It goes on with", workflow.restart_of), ("It was restarted as", again))
    return [(words, link(row)) for words, row in line if row]


def idle_actions(workflow: Workflow) -> set[str]:
    """Return which of the buttons would be refused."""
    if workflow.is_live:
        return {"restart"}
    again = Workflow.objects.filter(restart_of=workflow).exists()
    over = again or workflow.status == WorkflowStatus.COMPLETED
    return {"cancel", "move_deadline", "restart"} if over else {"cancel", "move_deadline"}


def workflow_of_job(text: str) -> uuid.UUID | None:
    """Return the id of the workflow that a job works for, if this is a job's id and it does."""
    try:
        payloads = Job.objects.filter(pk=uuid.UUID(text)).values_list("payload", flat=True)
        return uuid.UUID(str((payloads.first() or {}).get("workflow_id")))
    except ValueError:
        return None

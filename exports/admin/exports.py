"""Exports in the admin: request one, watch it, fetch its file, cancel it, run it again."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from unfold.decorators import action

from exports import operations
from exports.admin import cells
from exports.admin.forms import RequestForm
from exports.errors import ExportError, StoreAway
from exports.models import Export
from exports.queries import count_attempts
from exports.responses import answer_download
from jobs.admin.base import age, link
from jobs.admin.moving import MovingAdmin
from jobs.errors import JobError


@admin.register(Export)
class ExportAdmin(MovingAdmin):
    refusals = (JobError, ExportError)
    row_cells = cells.CELLS
    form = RequestForm
    autocomplete_fields = ("tenant",)
    list_display = ("filename", "tenant", "status_cell", "progress_cell", "rows_cell", "size_cell",
                    "since", "requested_by")  # fmt: skip
    list_filter = ("status", "format")
    list_select_related = ("tenant", "requested_by")
    search_fields = ("id",)
    searched_ids = ("pk", "job_id", "workflow_id", "tenant_id")
    search_help_text = "A tenant's name or id, or the id of an export, its job or its workflow."
    actions = ("cancel_selected", "retry_selected")
    actions_detail = actions_row = ("download", "cancel", "retry")
    shown_fields = ("status_cell", "progress_cell", "error", "id", "tenant", "requested_by",
                    "dataset", "format", "made_by", "attempts_so_far", "rows_cell", "size_cell",
                    "sha256", "created_at", "started_at", "settled_at")  # fmt: skip

    def get_fields(self, request: HttpRequest, obj: Export | None = None) -> Any:
        return ("tenant", "dataset_name", "format") if obj is None else self.shown_fields

    def get_readonly_fields(self, request: HttpRequest, obj: Export | None = None) -> Any:
        return () if obj is None else self.shown_fields

    # --- Who may do what ------------------------------------------------------------------------

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("exports.request_export")

    def has_download_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("exports.download_export")

    def has_cancel_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("exports.cancel_export")

    def has_retry_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("exports.retry_export")

    # --- Request --------------------------------------------------------------------------------

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        context = {**(extra_context or {}), "title": "Request an export"}
        return super().add_view(request, form_url, context)

    def save_model(self, request: HttpRequest, obj: Export, form: Any, change: bool) -> None:
        export = operations.request_export(
            tenant_id=form.cleaned_data["tenant"].pk,
            user_id=request.user.pk,
            dataset=form.cleaned_data["dataset_name"],
            format=form.cleaned_data["format"],
        )
        obj.__dict__.update(export.__dict__)

    # --- Actions --------------------------------------------------------------------------------

    @action(description="Download", permissions=["download"], icon="download")
    def download(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        export = self.get_object(request, object_id)
        if export is None:
            raise Http404
        try:
            answer = answer_download(export)
        except ExportError as refusal:
            messages.warning(request, str(refusal))
            return HttpResponseRedirect(reverse("admin:exports_export_change", args=[export.pk]))
        self.log_change(request, export, "Downloaded.")
        return answer

    @action(description="Cancel", permissions=["cancel"], icon="cancel")
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        act = self._cancelling(request)
        return self.act_on_one(request, object_id, question="Cancel this export", act=act)

    @action(description="Run again", permissions=["retry"], icon="replay")
    def retry(self, request: HttpRequest, object_id: str) -> HttpResponse:
        act = self._retrying(request)
        return self.act_on_one(request, object_id, question="Run this export again", act=act)

    @admin.action(description="Cancel selected exports", permissions=["cancel"])
    def cancel_selected(self, request: HttpRequest, queryset: QuerySet[Export]) -> None:
        self.act_on_selected(request, queryset, act=self._cancelling(request))

    @admin.action(description="Run selected exports again", permissions=["retry"])
    def retry_selected(self, request: HttpRequest, queryset: QuerySet[Export]) -> None:
        self.act_on_selected(request, queryset, act=self._retrying(request))

    def _cancelling(self, request: HttpRequest) -> Any:
        def act(export: Export) -> str:
            operations.cancel_export(
                tenant_id=export.tenant_id, export_id=export.pk, by=str(request.user)
            )
            return f"Cancelled {export}."

        return act

    def _retrying(self, request: HttpRequest) -> Any:
        away: list[StoreAway] = []

        def act(export: Export) -> str:
            if away:  # To ask for each would wait for each.
                raise away[0]
            try:
                operations.retry_export(
                    tenant_id=export.tenant_id, export_id=export.pk, by=str(request.user)
                )
            except StoreAway as error:
                away.append(error)
                raise
            return f"Queued {export} again."

        return act

    # --- Columns --------------------------------------------------------------------------------

    @admin.display(description="File")
    def filename(self, export: Export) -> str:
        return export.filename

    @admin.display(description="Status", ordering="status")
    def status_cell(self, export: Export) -> str:
        return self.moving("status", export)

    @admin.display(description="Progress")
    def progress_cell(self, export: Export) -> str:
        return self.moving("progress", export)

    @admin.display(description="Rows", ordering="row_count")
    def rows_cell(self, export: Export) -> str:
        return self.moving("rows", export)

    @admin.display(description="Size", ordering="size_bytes")
    def size_cell(self, export: Export) -> str:
        return self.moving("size", export)

    @admin.display(description="Age", ordering="id")
    def since(self, export: Export) -> str:
        return age(export.created_at)

    @admin.display(description="Made by")
    def made_by(self, export: Export) -> str:
        """Its job; a large one's workflow, which has many."""
        return link(export.workflow or export.job)

    @admin.display(description="Attempts")
    def attempts_so_far(self, export: Export) -> int:
        return count_attempts(export)

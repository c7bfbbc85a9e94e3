"""`/api/v1/exports`: ask for a tenant's rows as a file, watch it grow, fetch it."""

import uuid
from datetime import datetime
from typing import Annotated, Any

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from exports import operations, queries
from exports.models import Export
from exports.responses import answer_download
from exports.states import ExportStatus
from jobs.http import Member, RequestSchema, page_of, refuse_unknown_parameters, require
from jobs.idempotency import Answer, answer_once

router = Router()

READ, WRITE = "exports:read", "exports:write"

Name = Annotated[str, Field(max_length=100)]


class ExportIn(RequestSchema):
    dataset: Name
    format: Name


class Filters(RequestSchema):
    status: ExportStatus | None = None
    before: uuid.UUID | None = Field(None, description="The id of the last export seen.")
    limit: int = Field(50, ge=1, le=200)


class ExportAccepted(Schema):
    success: bool
    export_id: uuid.UUID
    job_id: uuid.UUID = Field(description="Of one in parts: that of its first step.")
    status: ExportStatus


class ProgressOut(Schema):
    rows: int
    total: int | None = Field(description="Known once it has begun.")


class ExportOut(Schema):
    id: uuid.UUID
    job_id: uuid.UUID | None
    workflow_id: uuid.UUID | None = Field(description="Of a large one, which is written in parts.")
    dataset: str
    format: str
    status: ExportStatus
    progress: ProgressOut
    row_count: int | None
    size_bytes: int | None
    sha256: str | None
    error: str | None
    attempts: int = Field(description="Executions that ended in an error or a success.")
    requested_by: uuid.UUID | None = Field(validation_alias="requested_by_id")
    created_at: datetime
    started_at: datetime | None
    settled_at: datetime | None
    download_url: str | None = Field(description="Where the file is, once it is completed.")

    @staticmethod
    def resolve_progress(export: Export) -> dict[str, int | None]:
        return {"rows": export.rows_done, "total": export.rows_total}

    @staticmethod
    def resolve_sha256(export: Export) -> str | None:
        return export.sha256 or None

    @staticmethod
    def resolve_error(export: Export) -> str | None:
        return export.error or None

    @staticmethod
    def resolve_attempts(export: Export) -> int:
        return queries.count_attempts(export)

    @staticmethod
    def resolve_download_url(export: Export, context: dict[str, Any]) -> str | None:
        if export.status != ExportStatus.COMPLETED:
            return None
        path = reverse("api:download_export", args=[export.pk])
        url: str = context["request"].build_absolute_uri(path)
        return url


class ExportPage(Schema):
    items: list[ExportOut]
    next_before: uuid.UUID | None = Field(description="Pass it as `before` for the next page.")


@router.post("", response={202: ExportAccepted}, summary="Request an export")
def request_export(request: HttpRequest, body: ExportIn) -> JsonResponse:
    """With an `Idempotency-Key`, the same request sent again gets the same answer."""
    actor = require(request, WRITE)
    return answer_once(request, actor, lambda: _request(actor, body))


@router.get("", response=ExportPage, summary="List exports, newest first")
def list_exports(request: HttpRequest, filters: Query[Filters]) -> dict[str, Any]:
    actor = require(request, READ)
    refuse_unknown_parameters(request, Filters)
    exports = queries.list_exports(
        actor.tenant_id, status=filters.status, before=filters.before, limit=filters.limit
    )
    return page_of(exports, filters.limit)


@router.get("/{export_id}", response=ExportOut, url_name="export", summary="See an export")
def get_export(request: HttpRequest, export_id: uuid.UUID) -> Export:
    return queries.get_export(require(request, READ).tenant_id, export_id)


@router.get("/{export_id}/download", url_name="download_export", summary="Download the file")
def download_export(request: HttpRequest, export_id: uuid.UUID) -> HttpResponseBase:
    """The file, or a redirect to a signed link that soon expires."""
    return answer_download(queries.get_export(require(request, READ).tenant_id, export_id))


@router.post("/{export_id}/cancel", response=ExportOut, summary="Cancel a live export")
def cancel_export(request: HttpRequest, export_id: uuid.UUID) -> Export:
    actor = require(request, WRITE)
    return operations.cancel_export(
        tenant_id=actor.tenant_id, export_id=export_id, by=str(actor.user)
    )


@router.post("/{export_id}/retry", response={202: ExportOut}, summary="Run an export again")
def retry_export(request: HttpRequest, export_id: uuid.UUID) -> Any:
    """A failed or cancelled export keeps its id and is queued again, with a new job."""
    actor = require(request, WRITE)
    export = operations.retry_export(
        tenant_id=actor.tenant_id, export_id=export_id, by=str(actor.user)
    )
    return Status(202, export)


def _request(actor: Member, body: ExportIn) -> Answer:
    export = operations.request_export(
        tenant_id=actor.tenant_id,
        user_id=actor.user_id,
        dataset=body.dataset,
        format=body.format,
    )
    answer = {
        "success": True,
        "export_id": str(export.pk),
        "job_id": str(queries.first_job_id(export)),
        "status": export.status,
    }
    return Answer(202, answer, location=reverse("api:export", args=[export.pk]))

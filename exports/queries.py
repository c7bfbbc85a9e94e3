"""What may be read of exports."""

import uuid
from collections.abc import Collection
from datetime import datetime, timedelta

from django.conf import settings

from exports.errors import UnknownExport
from exports.models import Export
from jobs.models import WorkflowStep


def get_export(tenant_id: uuid.UUID, export_id: uuid.UUID) -> Export:
    """
    Return one of the tenant's exports, with its job.

    :raises UnknownExport: the same for an id that isn't there and for another tenant's.
    """
    return get_export_of_any([tenant_id], export_id)


def get_export_of_any(tenant_ids: Collection[uuid.UUID], export_id: uuid.UUID) -> Export:
    """
    Return an export that one of these tenants has, with its job.

    :raises UnknownExport: the same for an id that isn't there and for another tenant's.
    """
    exports = Export.objects.select_related("job").filter(tenant_id__in=tenant_ids)
    export = exports.filter(pk=export_id).first()
    if export is None:
        raise UnknownExport(export_id)
    return export


def list_exports(
    tenant_id: uuid.UUID,
    *,
    status: str | None = None,
    before: uuid.UUID | None = None,
    limit: int = 50,
) -> list[Export]:
    """Return the tenant's exports, newest first; `before` is the id of the last one seen."""
    exports = Export.objects.select_related("job").filter(tenant_id=tenant_id).order_by("-pk")
    wanted = {"status": status, "pk__lt": before}
    return list(exports.filter(**{name: value for name, value in wanted.items() if value})[:limit])


def kept_until(export: Export) -> datetime | None:
    """Return from when on the nightly clean-up may delete it; None while it is live."""
    if export.settled_at is None:
        return None
    return export.settled_at + timedelta(days=settings.EXPORTS_KEEP_DAYS)


def has_written() -> bool:
    """Whether any attempt has begun to write a file: it has made the store, if nobody had."""
    return Export.objects.filter(parts_started__gt=0).exists()


def count_attempts(export: Export) -> int:
    """Return the executions that ended in an error or a success; also while more may follow."""
    return export.attempts if export.job is None else export.job.attempts


def first_job_id(export: Export) -> uuid.UUID | None:
    """Return the job that begins an export: its own, or that of its workflow's first step."""
    if export.workflow_id is None:
        return export.job_id
    steps = WorkflowStep.objects.filter(workflow=export.workflow_id, number=1)
    return steps.values_list("job_id", flat=True).first()

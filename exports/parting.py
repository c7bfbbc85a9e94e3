"""What a workflow writes of the export that it makes, in parts."""

import uuid

from django.db.models import F, Max, QuerySet, Sum
from django.db.models.functions import Coalesce, Greatest, Now

from exports.errors import UnknownExport
from exports.models import Export
from exports.operations import ANNOUNCED, announce_end
from exports.payloads import ExportPayload
from exports.states import LIVE, ExportStatus
from jobs import enqueue, record_event
from jobs.errors import NotReplayable, NotWanted
from jobs.models import Workflow, WorkflowStep
from jobs.states import WorkflowStatus

REMOVE = "exports.remove_parts"

OVER = "its export, which has ended"

#: How the end of a workflow is told to the people who asked for its export.
STATUS_OF = {
    WorkflowStatus.COMPLETED: ExportStatus.COMPLETED,
    WorkflowStatus.FAILED: ExportStatus.FAILED,
    WorkflowStatus.TIMEOUT: ExportStatus.FAILED,
    WorkflowStatus.CANCELLED: ExportStatus.CANCELLED,
}


def get_export_of(workflow: Workflow, export_id: uuid.UUID) -> Export:
    """:raises UnknownExport: if it was deleted, or another workflow makes it now."""
    export = Export.objects.filter(
        pk=export_id, tenant_id=workflow.tenant_id, workflow=workflow
    ).first()
    if export is None:
        raise UnknownExport(export_id)
    return export


def check_is_wanted(export: Export) -> None:
    """:raises NotWanted: if it has ended or was deleted, or another workflow makes it now."""
    if not _wanted(export).exists():
        raise NotWanted(OVER)


def begin(export: Export) -> None:
    """:raises NotWanted: as `check_is_wanted` does."""
    begun = _wanted(export).update(
        status=ExportStatus.PROCESSING, rows_done=0, rows_total=None, started_at=Now()
    )
    if not begun:
        raise NotWanted(OVER)


def write_total(export: Export, total: int) -> None:
    Export.objects.filter(pk=export.pk).update(rows_total=total)


def write_manifest_sha256(export: Export, sha256: str) -> None:
    """Note that a file has a manifest, and which: what is there later is compared with it."""
    Export.objects.filter(pk=export.pk).update(manifest_sha256=sha256)


def write_rows_done(export: Export, workflow: Workflow, step_number: int) -> None:
    """
    Add up what the parts show; only upwards.

    Losing the race to another part means that its sum, which is as new, stands.
    """
    steps = WorkflowStep.objects.filter(workflow=workflow, number=step_number)
    shown = steps.aggregate(rows=Coalesce(Sum("progress_done"), 0))["rows"]
    _wanted(export).update(
        rows_done=Greatest(F("rows_done"), shown), rows_total=Greatest(F("rows_total"), shown)
    )


def next_attempt(export: Export) -> int:
    """
    Count an attempt to write a part or the file, and return its number.

    Of a workflow that goes on with another, it is the first to be seen.

    :raises NotWanted: as `check_is_wanted` does.
    """
    begun = _wanted(export).update(
        parts_started=F("parts_started") + 1,
        status=ExportStatus.PROCESSING,
        started_at=Coalesce(F("started_at"), Now()),
    )
    if not begun:
        raise NotWanted(OVER)
    return Export.objects.values_list("parts_started", flat=True).get(pk=export.pk)


def _wanted(export: Export) -> QuerySet[Export]:
    """Return its row while it is live and made by the workflow for which it was read."""
    return Export.objects.filter(pk=export.pk, workflow=export.workflow_id, status__in=LIVE)


# --- What the workflow's engine calls, in the transaction of what it tells of ---------------------


def write_workflow_outcome(workflow: Workflow) -> None:
    """Tell the export how its workflow ended; record and announce it as an event."""
    status = STATUS_OF[WorkflowStatus(workflow.status)]
    exports = Export.objects.filter(workflow=workflow)
    error = "" if status == ExportStatus.COMPLETED else workflow.error
    attempts = workflow.steps.aggregate(most=Coalesce(Max("attempts"), 0))["most"]
    told = exports.update(status=status, error=error, attempts=attempts, settled_at=Now())
    if not told:
        return  # Deleted, or made by a newer workflow.
    record_event(f"export.{status}", tenant_id=workflow.tenant_id)
    export = exports.get()
    if status in ANNOUNCED:
        announce_end(export)
    if status == ExportStatus.COMPLETED:
        payload = ExportPayload(export_id=export.pk)
        enqueue(REMOVE, payload, tenant_id=export.tenant_id, user_id=export.requested_by_id)


def point_to_new_workflow(old: Workflow, new: Workflow) -> None:
    """
    Queue the export again under the workflow that goes on with its old one.

    :raises NotReplayable: if it was deleted meanwhile: the new one could only fail.
    """
    queued = Export.objects.filter(workflow=old).update(
        workflow=new,
        status=ExportStatus.QUEUED,
        error="",
        attempts=0,
        started_at=None,
        settled_at=None,
    )
    if not queued:
        raise NotReplayable(f"The export of workflow {old.pk} is gone; request it again.")

"""What a workflow writes of the export that it makes, in parts."""

import uuid

from django.db.models import F, Sum
from django.db.models.functions import Coalesce, Greatest, Now

from exports.errors import UnknownExport
from exports.models import Export
from exports.operations import ANNOUNCED, announce_end
from exports.payloads import ExportPayload
from exports.states import ExportStatus
from jobs import enqueue, record_event
from jobs.errors import NotReplayable
from jobs.models import Workflow, WorkflowStep
from jobs.states import WorkflowStatus

REMOVE = "exports.remove_parts"

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


def begin(export: Export) -> None:
    Export.objects.filter(pk=export.pk).update(
        status=ExportStatus.PROCESSING, rows_done=0, started_at=Now()
    )


def write_total(export: Export, total: int) -> None:
    Export.objects.filter(pk=export.pk).update(rows_total=total)


def write_rows_done(export: Export, workflow: Workflow, step_number: int) -> None:
    """
    Add up what the parts show; only upwards.

    Losing the race to another part means that its sum, which is as new, stands.
    """
    steps = WorkflowStep.objects.filter(workflow=workflow, number=step_number)
    shown = steps.aggregate(rows=Coalesce(Sum("progress_done"), 0))["rows"]
    Export.objects.filter(pk=export.pk).update(rows_done=Greatest(F("rows_done"), shown))


def next_attempt(export: Export) -> int:
    """Count an attempt to write a part or the file, and return its number."""
    rows = Export.objects.filter(pk=export.pk)
    rows.update(parts_started=F("parts_started") + 1)
    return rows.values_list("parts_started", flat=True).get()


# --- What the workflow's engine calls, in the transaction of what it tells of ---------------------


def write_workflow_outcome(workflow: Workflow) -> None:
    """Tell the export how its workflow ended; record and announce it as an event."""
    status = STATUS_OF[WorkflowStatus(workflow.status)]
    exports = Export.objects.filter(workflow=workflow)
    error = "" if status == ExportStatus.COMPLETED else workflow.error
    told = exports.update(status=status, error=error, attempts=1, settled_at=Now())
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
        settled_at=None,
    )
    if not queued:
        raise NotReplayable(f"The export of workflow {old.pk} is gone; request it again.")

"""What may be done to exports: the only module that writes their rows; `cleanup` deletes them."""

import uuid
from dataclasses import dataclass
from typing import Any, BinaryIO

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from exports.datasets import get_dataset
from exports.errors import NotCompleted, StoreAway, UnknownExport
from exports.formats import get_format
from exports.models import Export
from exports.object_store import ObjectStore, store_from_url
from exports.payloads import ExportPayload
from exports.queries import get_export
from exports.states import ExportStatus
from jobs import enqueue, record_event
from jobs.announcements import announce
from jobs.errors import NotLive, NotReplayable
from jobs.models import Job
from jobs.operations import cancel_job, replay_job
from jobs.outcomes import outcome_of
from jobs.states import JobState
from jobs.workflows.errors import NotRestartable, RestartNotNow, WorkflowEnded
from jobs.workflows.operations import cancel_workflow, restart_workflow, start_workflow

TASK = "exports.export_data"
WORKFLOW = "exports.export_in_parts"

#: What whoever asked is told of: who cancels knows it.
ANNOUNCED = (ExportStatus.COMPLETED, ExportStatus.FAILED)

#: How the end of a job is told to the people who asked for its export.
STATUS_OF = {
    JobState.SUCCEEDED: ExportStatus.COMPLETED,
    JobState.FAILED: ExportStatus.FAILED,
    JobState.CANCELLED: ExportStatus.CANCELLED,
}


@dataclass(frozen=True)
class FileFacts:
    """What a finished file turned out to be."""

    row_count: int
    size_bytes: int
    sha256: str


def request_export(
    *, tenant_id: uuid.UUID, user_id: uuid.UUID | None, dataset: str, format: str
) -> Export:
    """
    Store an export and its job in one transaction, or in the caller's.

    One of EXPORTS_PARTS_FROM_ROWS or more has a workflow instead, which writes it in parts.

    :raises UnknownDataset: if nobody registered it.
    :raises UnknownFormat: if there is no such format.
    """
    large = get_dataset(dataset).has_rows(tenant_id, settings.EXPORTS_PARTS_FROM_ROWS)
    get_format(format)
    export = Export(tenant_id=tenant_id, requested_by_id=user_id, dataset=dataset, format=format)
    with transaction.atomic():
        _start(export, in_parts=large)
        export.save(force_insert=True)
        record_event("export.requested", tenant_id=tenant_id)
    return export


def cancel_export(*, tenant_id: uuid.UUID, export_id: uuid.UUID, by: str) -> Export:
    """
    Cancel a live export at once; a running attempt learns it at its next sign of progress.

    :raises UnknownExport: if there is none, or it belongs to another tenant.
    :raises NotLive: if it has settled.
    """
    export = get_export(tenant_id, export_id)
    if not export.is_live:
        raise NotLive(f"Export {export.pk} has {export.status}; only live ones can be cancelled.")
    _cancel(export, by)
    return get_export(tenant_id, export_id)


def retry_export(*, tenant_id: uuid.UUID, export_id: uuid.UUID, by: str) -> Export:
    """
    Run a failed or cancelled export again: it keeps its id and is queued again, with a new job.

    One that is written in parts goes on with those that are done.

    :raises UnknownExport: if there is none, or it belongs to another tenant.
    :raises NotReplayable: if it is live or completed, or its job has been deleted.
    :raises StoreAway: if the store can't say which parts there are; nothing was done.
    """
    export = get_export(tenant_id, export_id)
    if export.status not in (ExportStatus.FAILED, ExportStatus.CANCELLED):
        raise NotReplayable(f"Export {export.pk} is {export.status}; it can't run again.")
    _restart(export, by)
    return get_export(tenant_id, export_id)


def open_download(export: Export) -> str | BinaryIO:
    """
    Return the URL of a signed link to the file, or the opened file.

    :raises NotCompleted: if there is no file yet, or never will be.
    :raises NoSuchObject: if the store has lost it.
    """
    if export.status != ExportStatus.COMPLETED:
        raise NotCompleted(export.pk, export.status)
    return object_store().download(
        export.key,
        filename=export.filename,
        content_type=get_format(export.format).content_type,
        seconds=settings.EXPORTS_LINK_SECONDS,
    )


def object_store() -> ObjectStore:
    return store_from_url(settings.EXPORTS_STORAGE_URL)


def _start(export: Export, *, in_parts: bool) -> None:
    whose: dict[str, Any] = {"tenant_id": export.tenant_id, "user_id": export.requested_by_id}
    if in_parts:
        export.workflow = start_workflow(WORKFLOW, {"export_id": export.pk}, **whose)
    else:
        export.job = enqueue(TASK, ExportPayload(export_id=export.pk), **whose)


def _cancel(export: Export, by: str) -> None:
    """:raises NotLive: if it has ended, also at this moment."""
    try:
        if export.workflow_id:
            cancel_workflow(workflow_id=export.workflow_id, by=by)
            return
    except WorkflowEnded:
        pass  # Losing the race means that it has ended by itself.
    if export.job_id is None:
        raise NotLive(f"Export {export.pk} has {export.status}; only live ones can be cancelled.")
    cancel_job(job_id=export.job_id, by=by)


def _restart(export: Export, by: str) -> None:
    """
    Begin again, by its workflow or its job.

    :raises NotReplayable: if somebody was faster, or nothing is there to go on with.
    :raises StoreAway: as `retry_export` does.
    """
    try:
        if export.workflow_id:
            restart_workflow(workflow_id=export.workflow_id, by=by)
            return
    except NotRestartable as refusal:
        raise NotReplayable(str(refusal)) from None
    except RestartNotNow as refusal:
        raise StoreAway from refusal
    if export.job_id is None:
        raise NotReplayable(f"The job of export {export.pk} is gone; request the export again.")
    replay_job(job_id=export.job_id, by=by)


# --- What the task writes, inside the fence of its attempt --------------------------------------


def begin_part(job: Job, export_id: uuid.UUID) -> Export:
    """
    Show the export as processing, and return it with the number of a new part.

    :raises UnknownExport: if it was deleted.
    """
    ours = Export.objects.filter(pk=export_id, tenant_id=job.tenant_id, job=job)
    begun = ours.update(
        status=ExportStatus.PROCESSING,
        parts_started=F("parts_started") + 1,
        rows_done=0,
        started_at=Now(),
    )
    if not begun:
        raise UnknownExport(export_id)
    return ours.get()


def write_progress(export: Export, *, rows_done: int, rows_total: int) -> None:
    Export.objects.filter(pk=export.pk).update(rows_done=rows_done, rows_total=rows_total)


def write_file_facts(export: Export, facts: FileFacts) -> None:
    """Say what the published file is; the job's settle, which follows, makes it `completed`."""
    Export.objects.filter(pk=export.pk).update(
        rows_done=facts.row_count,
        rows_total=facts.row_count,
        row_count=facts.row_count,
        size_bytes=facts.size_bytes,
        sha256=facts.sha256,
    )


# --- What the engine calls, inside the transaction that moves the job ---------------------------


def write_outcome(job: Job) -> None:
    """Tell the export how its job ended, whoever ended it; record and announce it as an event."""
    status = STATUS_OF[JobState(job.state)]
    told = Export.objects.filter(job=job).update(**outcome_of(job, STATUS_OF))
    if told:  # Not for an export that was deleted, or runs again under a newer job.
        record_event(f"export.{status}", tenant_id=job.tenant_id)
    if told and status in ANNOUNCED:
        announce_end(Export.objects.get(job=job))


def announce_end(export: Export) -> None:
    """Tell whoever asked, and the tenant's endpoints, how an export has ended."""
    announce(
        f"export.{export.status}",
        tenant_id=export.tenant_id,
        user_id=export.requested_by_id,
        data={
            "export_id": str(export.pk),
            "dataset": export.dataset,
            "format": export.format,
            "row_count": export.row_count,
            "size_bytes": export.size_bytes,
            "sha256": export.sha256 or None,
            "error": export.error or None,
        },
    )


def point_to_new_job(old: Job, new: Job) -> None:
    """
    Queue the export again under the job that replays its old one.

    :raises NotReplayable: if it was deleted meanwhile: the new job could only fail.
    """
    queued = Export.objects.filter(job=old).update(
        job=new,
        status=ExportStatus.QUEUED,
        error="",
        attempts=0,
        rows_done=0,
        rows_total=None,
        started_at=None,
        settled_at=None,
    )
    if not queued:
        raise NotReplayable(f"The export of job {old.pk} is gone; request the export again.")

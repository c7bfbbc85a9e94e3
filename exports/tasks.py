"""
The jobs of exports.

`exports.export_data` streams a tenant's rows into a file that appears when it is whole;
`exports.delete_expired_files` is a part of the nightly clean-up.
"""

import contextlib
import hashlib
import time
from collections.abc import Iterable

import structlog
from django.conf import settings

from exports import operations
from exports.cleanup.clean_up import clean_up
from exports.datasets import get_dataset
from exports.errors import UnknownExport
from exports.formats import Block, get_format
from exports.models import Export
from exports.object_store import Part
from exports.operations import FileFacts
from exports.payloads import ExportPayload
from exports.streams import stream
from jobs import job_task
from jobs.errors import GiveUp
from jobs.models import Job
from jobs.payloads import Nothing
from jobs.schedules.moments import moment_of
from jobs.upkeep.parts import register_cleanup

log = structlog.get_logger("exports")


@job_task(
    name=operations.TASK,
    queue="exports",
    atomic=False,
    on_settled=operations.write_outcome,
    on_replayed=operations.point_to_new_job,
    tells_of_failure=True,
)
def export_data(job: Job, payload: ExportPayload) -> None:
    """
    Write a part, check that the job is still ours, publish, settle.

    Stopped between the check and the publish, this attempt may be given up for dead: the next one
    removes its part first, so its publish fails when it wakes up.
    """
    export = _begin(job, payload)
    part = operations.object_store().start_part(export.key, export.parts_started)
    try:
        facts = _write(job, export, part)
        with job.fence():
            pass
        part.publish()
    except BaseException:
        with contextlib.suppress(Exception):  # What is left behind, the next attempt removes.
            part.discard()
        raise
    with job.succeeding():
        operations.write_file_facts(export, facts)
    log.info("export.published", job_id=str(job.pk), export_id=str(export.pk), key=export.key)


@job_task(name="exports.delete_expired_files", atomic=False)
def delete_expired_files(job: Job, payload: Nothing) -> None:
    """Delete what EXPORTS_KEEP_DAYS no longer keeps, and strays; an attempt too many is idle."""
    clean_up(operations.object_store(), now=moment_of(job))


register_cleanup(delete_expired_files.name)


def _begin(job: Job, payload: ExportPayload) -> Export:
    try:
        with job.fence():
            return operations.begin_part(job, payload.export_id)
    except UnknownExport as error:
        raise GiveUp(str(error)) from error


def _write(job: Job, export: Export, part: Part) -> FileFacts:
    dataset = get_dataset(export.dataset)
    progress = Progress(job, export, dataset.count(export.tenant_id))
    blocks = stream(dataset, export.tenant_id, get_format(export.format))
    with contextlib.closing(blocks):
        return _copy(blocks, part, progress)


def _copy(blocks: Iterable[Block], part: Part, progress: "Progress") -> FileFacts:
    rows = size = 0
    digest = hashlib.sha256()
    for block in blocks:
        part.write(block.data)
        digest.update(block.data)
        size += len(block.data)
        rows += block.rows
        progress.show(rows)
    return FileFacts(rows, size, digest.hexdigest())


class Progress:
    """Shows how far an export is, seldom enough to cost nothing, and learns if it was cancelled."""

    def __init__(self, job: Job, export: Export, rows_total: int) -> None:
        self.job, self.export, self.rows_total = job, export, rows_total
        self.next_at = 0.0

    def show(self, rows_done: int) -> None:
        """:raises MoveRefused: if the job was cancelled or given to another attempt."""
        if time.monotonic() < self.next_at:
            return
        with self.job.fence():
            operations.write_progress(
                self.export, rows_done=rows_done, rows_total=max(self.rows_total, rows_done)
            )
        self.next_at = time.monotonic() + settings.EXPORTS_PROGRESS_SECONDS

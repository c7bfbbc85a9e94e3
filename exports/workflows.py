"""
The workflow that writes a large export in parts, on as many workers as there are.

Killed anywhere it goes on with the parts that are done. Cancelled, failed or out of time, its parts
stay for a restart until the nightly clean-up takes them.
"""

import time
import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from pydantic import BaseModel

from exports import operations, parting
from exports.datasets import get_dataset
from exports.errors import PartsDamaged, StoreAway, UnknownExport
from exports.formats import get_format
from exports.models import Export
from exports.operations import FileFacts
from exports.parts.assembling import assemble
from exports.parts.facts import PartFacts
from exports.parts.manifest import write_manifest
from exports.parts.ranges import KeyRange, cut, fitting, rows_per_part_of
from exports.parts.removing import remove_parts
from exports.parts.writing import write_part
from exports.payloads import ExportPayload
from jobs import job_task
from jobs.errors import GiveUp, NotWanted
from jobs.models import Job, WorkflowStep
from jobs.workflows import StepRun, WorkflowDefinition
from jobs.workflows.errors import RestartNotNow

PLAN, WRITE, ASSEMBLE, DESCRIBE = 1, 2, 3, 4

#: What stands around the ranges in the output of the first step, and some more.
AROUND_BYTES = 100

#: A large export may have to wait for others.
DEADLINE = timedelta(hours=6)


class ExportState(BaseModel):
    export_id: uuid.UUID


def in_store(rows: Sequence[WorkflowStep]) -> set[int]:
    """
    Return which parts that were written are still there: the clean-up takes those of the ended.

    By one look at their folder. What they hold is checked when the file is put together.

    :raises RestartNotNow: if the store can't be asked.
    """
    parts = {row.branch: PartFacts.from_json(row.output or {}) for row in rows}
    there: dict[str, int] = {}
    try:
        for folder in {part.key.rpartition("/")[0] for part in parts.values()}:
            there |= operations.object_store().sizes(folder)
    except StoreAway as error:
        raise RestartNotNow(str(error)) from error
    return {branch for branch, part in parts.items() if there.get(part.key) == part.size_bytes}


export_in_parts = WorkflowDefinition(
    operations.WORKFLOW,
    state=ExportState,
    deadline=DEADLINE,
    on_ended=parting.write_workflow_outcome,
    on_restarted=parting.point_to_new_workflow,
    last_restart=WRITE,
    keeps=in_store,
    tells_of_failure=True,
)

Run = StepRun[ExportState]


@export_in_parts.long_step("exports.plan_parts", queue="exports", tells_of_failure=True)
def plan_parts(run: Run) -> dict[str, Any]:
    """Cut the keys that there are now into ranges."""
    export = _export(run)
    _fenced(run, lambda: parting.begin(export))
    dataset = get_dataset(export.dataset)
    total = dataset.count(export.tenant_id)
    ranges = cut(dataset, export.tenant_id, rows_per_part=rows_per_part_of(total))
    ranges = fitting(ranges, size_bytes=settings.JOBS_WORKFLOWS_RESULT_MAX_BYTES - AROUND_BYTES)
    _fenced(run, lambda: parting.write_total(export, total))
    return {"ranges": [each.as_json() for each in ranges]}


def ranges_of(run: Run) -> list[Any]:
    found: list[Any] = run.output_of(PLAN)["ranges"]
    return found


@export_in_parts.parallel_step(
    "exports.write_part", branches=ranges_of, queue="exports", tells_of_failure=True
)
def write_one_part(run: Run) -> dict[str, Any]:
    """Write the rows of a range, as they are in one snapshot."""
    export = _export(run)
    showing = Showing(run, export, rows_per_part_of(export.rows_total or 0))

    def before_publish() -> None:
        showing.show_all()
        _check_is_wanted(run, export)

    facts = write_part(
        operations.object_store(),
        get_dataset(export.dataset),
        get_format(export.format),
        export.tenant_id,
        export.key,
        KeyRange.from_json(run.input),
        attempt=_next_attempt(run, export),
        show=showing,
        before_publish=before_publish,
    )
    return facts.as_json()


@export_in_parts.long_step("exports.assemble_file", queue="exports", tells_of_failure=True)
def assemble_file(run: Run) -> dict[str, Any]:
    """
    Put the parts together, in order.

    Parts that are not what was written are deleted, so that a restart writes them again.
    """
    export = _export(run)
    parts = _parts(run)
    try:
        file = assemble(
            operations.object_store(),
            get_format(export.format),
            get_dataset(export.dataset).names,
            export.key,
            parts,
            attempt=_next_attempt(run, export),
            show=Showing(run, None, sum(part.rows for part in parts)),
            before_publish=lambda: _check_is_wanted(run, export),
        )
    except PartsDamaged as damage:
        _delete_parts(run, export, damage.keys)
        raise GiveUp(str(damage)) from damage
    return vars(file)


@export_in_parts.long_step("exports.describe_file", queue="exports", tells_of_failure=True)
def describe_file(run: Run) -> dict[str, str]:
    """Publish the manifest beside it."""
    export = _export(run)
    sha256 = write_manifest(
        operations.object_store(),
        export,
        get_dataset(export.dataset).names,
        _parts(run),
        _file(run),
        attempt=_next_attempt(run, export),
        before_publish=lambda: _check_is_wanted(run, export),
    )
    return {"sha256": sha256}


@export_in_parts.step("exports.complete_export", queue="exports", tells_of_failure=True)
def complete_export(run: Run) -> None:
    """Say what the file is; the end of the workflow, which follows, makes it `completed`."""
    export = _export(run)
    operations.write_file_facts(export, _file(run))
    described = run.output_of(DESCRIBE) or {}  # A step of the release before left nothing.
    parting.write_manifest_sha256(export, described.get("sha256", ""))


@job_task(name=parting.REMOVE, queue="exports", atomic=False)
def remove_written_parts(job: Job, payload: ExportPayload) -> None:
    """Take the parts away once the file is whole; an attempt too many is idle."""
    remove_parts(operations.object_store(), job.tenant_id, payload.export_id)


class Showing:
    """Shows how far a step is, seldom enough to cost nothing, and learns if it was cancelled."""

    def __init__(self, run: Run, export: Export | None, total: int) -> None:
        self.run, self.export, self.total = run, export, total
        self.rows = 0
        self.next_at = time.monotonic() + settings.EXPORTS_PROGRESS_SECONDS

    def __call__(self, rows: int) -> None:
        """:raises MoveRefused: if the job was cancelled or given to another attempt."""
        self.rows = rows
        if time.monotonic() >= self.next_at:
            self._show(self.total)

    def show_all(self) -> None:
        """
        Show that all is written: many parts take less time than there is between two looks.

        :raises MoveRefused: if the job was cancelled or given to another attempt.
        """
        self._show(self.rows)

    def _show(self, total: int) -> None:
        self.run.show(self.rows, total)
        if self.export:
            parting.write_rows_done(self.export, self.run.workflow, WRITE)
        self.next_at = time.monotonic() + settings.EXPORTS_PROGRESS_SECONDS


def _export(run: Run) -> Export:
    try:
        return parting.get_export_of(run.workflow, run.state.export_id)
    except UnknownExport as error:
        raise NotWanted("its export, which was deleted or is made by another workflow") from error


def _parts(run: Run) -> list[PartFacts]:
    return [PartFacts.from_json(each) for each in run.outputs_of(WRITE)]


def _delete_parts(run: Run, export: Export, keys: list[str]) -> None:
    """
    Delete parts while the step is ours; no lock is held while the store is asked.

    Losing the race between a look and its delete means that one part of whoever goes on is gone:
    it is found missing when the file is put together, and a retry writes it again.
    """
    store = operations.object_store()
    for key in keys:
        _check_is_wanted(run, export)
        store.delete(key)


def _file(run: Run) -> FileFacts:
    return FileFacts(**run.output_of(ASSEMBLE))


def _next_attempt(run: Run, export: Export) -> int:
    """Over all workflows of the export: the store refuses who comes with a lower number."""
    return int(_fenced(run, lambda: parting.next_attempt(export)))


def _check_is_wanted(run: Run, export: Export) -> None:
    _fenced(run, lambda: parting.check_is_wanted(export))


def _fenced(run: Run, act: Any) -> Any:
    """:raises MoveRefused: if the step's job was cancelled or given to another attempt."""
    if run.job is None:
        raise ValueError(f"{run.workflow}: step {run.number} is done by workers.")
    with run.job.fence():
        return act()

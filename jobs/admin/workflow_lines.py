"""The lines of a workflow's timeline: one a step, and below it one a branch."""

import json
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from jobs.admin.countdown import clock
from jobs.admin.schedule_strip import AMBER, BLUE, GREEN, GREY, RED
from jobs.admin.schedule_texts import span
from jobs.admin.workflow_bars import Bar, Times, Whole
from jobs.models import Workflow, WorkflowStep
from jobs.states import StepStatus

LABEL_COLOURS = {
    StepStatus.RUNNING: "info",
    StepStatus.DONE: "success",
    StepStatus.FAILED: "danger",
}
BAR_COLOURS = {
    StepStatus.WAITING: AMBER,
    StepStatus.RUNNING: BLUE,
    StepStatus.DONE: GREEN,
    StepStatus.FAILED: RED,
}

#: A step of several branches has the first of these that one of them has; else it is done.
WORST_FIRST = (
    StepStatus.FAILED,
    StepStatus.CANCELLED,
    StepStatus.RUNNING,
    StepStatus.WAITING,
)

#: Said of what a restart has taken over.
KEPT = "kept from the run before"

#: More would make a page that no browser likes; those that are not done come first.
BRANCHES_SHOWN_MAX = 100

#: The beginning of a long document tells what it is.
JSON_SHOWN_CHARACTERS = 4_000


@dataclass(kw_only=True)
class Line:
    """What is shown of a step or of a branch."""

    key: str  #: By which the page remembers that it was unfolded.
    name: str
    number: int = 0  #: 0: a branch.
    status: str = ""  #: Empty: it has not begun.
    note: str = ""  #: How far it is, or what it waits for.
    attempts: int = 0
    bar: Bar | None = None
    started_at: datetime | None = None
    took: str = ""
    error: str = ""
    documents: list[tuple[str, str]] = field(default_factory=list)
    job_id: uuid.UUID | None = None
    links: list[tuple[str, str]] = field(default_factory=list)  #: Words and addresses.
    branches: "list[Line]" = field(default_factory=list)
    left_out: int = 0

    @property
    def label_colour(self) -> str:
        return LABEL_COLOURS.get(StepStatus(self.status), "")

    @property
    def bar_colour(self) -> str:
        return BAR_COLOURS.get(StepStatus(self.status), GREY)


def line_to_come(number: int, name: str) -> Line:
    """Return the line of a step that has not begun."""
    return Line(key=str(number), number=number, name=name, note="not begun")


def line_of_step(workflow: Workflow, whole: Whole, rows: Sequence[WorkflowStep]) -> Line:
    """Return the line of a step; of several branches, one that they are folded into."""
    first = rows[0]
    if len(rows) == 1:
        return replace(_line(workflow, whole, first), number=first.number, name=first.name)
    shown = _worth_showing(rows)
    return Line(
        key=str(first.number),
        number=first.number,
        name=first.name,
        status=_status_of_all(rows).value,
        note=_note_of_all(workflow, rows),
        attempts=sum(row.attempts for row in rows),
        branches=[_line(workflow, whole, row) for row in shown],
        left_out=len(rows) - len(shown),
        **_times(workflow, whole, _all_times(_of_this_run(workflow, rows) or rows)),
    )


def _line(workflow: Workflow, whole: Whole, row: WorkflowStep) -> Line:
    return Line(
        key=f"{row.number}.{row.branch}",
        name=f"Branch {row.branch}",
        status=row.status,
        note=_note(workflow, row),
        attempts=row.attempts,
        error=row.error,
        documents=_documents(row),
        job_id=row.job_id,
        **_times(workflow, whole, Times(row.created_at, row.started_at, row.ended_at)),
    )


def _times(workflow: Workflow, whole: Whole, times: Times) -> dict[str, Any]:
    """Return what is shown of them; a step that was kept has no bar: it came before the whole."""
    kept = _was_kept(workflow, times.ended_at)
    return {
        "bar": None if kept else whole.bar(times),
        "started_at": times.started_at,
        "took": _length(whole.took(times)) if times.started_at else "",
    }


def _length(took: timedelta) -> str:
    return span(took) if took < timedelta(minutes=1) else clock(took)


def _note(workflow: Workflow, row: WorkflowStep) -> str:
    if _was_kept(workflow, row.ended_at):
        return KEPT
    if row.status == StepStatus.WAITING:
        return "waits for a worker" if row.job_id else "waits to be sent"
    if row.progress_total and row.status == StepStatus.RUNNING:
        return f"{row.progress_done:,} of {row.progress_total:,}"
    return ""


def _note_of_all(workflow: Workflow, rows: Sequence[WorkflowStep]) -> str:
    done = sum(row.status == StepStatus.DONE for row in rows)
    kept = len(rows) - len(_of_this_run(workflow, rows))
    if kept == len(rows):
        return f"{kept} of {kept} done, {KEPT}"
    return f"{done} of {len(rows)} done" + (f", {kept} of them {KEPT}" if kept else "")


def _of_this_run(workflow: Workflow, rows: Sequence[WorkflowStep]) -> list[WorkflowStep]:
    return [row for row in rows if not _was_kept(workflow, row.ended_at)]


def _was_kept(workflow: Workflow, ended_at: datetime | None) -> bool:
    """Tell whether a step was done before its workflow began: for the one that it goes on with."""
    return ended_at is not None and ended_at < workflow.created_at


def _documents(row: WorkflowStep) -> list[tuple[str, str]]:
    documents = (("Input", row.input), ("Output", row.output))
    return [(title, as_text(value)) for title, value in documents if value is not None]


def as_text(value: Any) -> str:
    """Return a value as indented JSON, cut where it is long."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    left_out = len(text) - JSON_SHOWN_CHARACTERS
    if left_out <= 0:
        return text
    return f"{text[:JSON_SHOWN_CHARACTERS]}\n… {left_out:,} characters more"


def _worth_showing(rows: Sequence[WorkflowStep]) -> list[WorkflowStep]:
    """Return as many as are shown, in their order: what is not done before what is."""
    worst_first = sorted(rows, key=lambda row: row.status == StepStatus.DONE)
    return sorted(worst_first[:BRANCHES_SHOWN_MAX], key=lambda row: row.branch)


def _status_of_all(rows: Sequence[WorkflowStep]) -> StepStatus:
    found = Counter(row.status for row in rows)
    worst = next((status for status in WORST_FIRST if found[status]), StepStatus.DONE)
    begun = found[StepStatus.DONE] and worst == StepStatus.WAITING
    return StepStatus.RUNNING if begun else worst


def _all_times(rows: Sequence[WorkflowStep]) -> Times:
    """Return from when the first may begin until the last has ended."""
    starts = [row.started_at for row in rows if row.started_at]
    ends = [row.ended_at for row in rows if row.ended_at]
    return Times(
        min(row.created_at for row in rows),
        min(starts, default=None),
        max(ends) if len(ends) == len(rows) else None,
    )

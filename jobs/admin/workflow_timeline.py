"""The timeline of a workflow: its steps with their times, what they brought, and their jobs."""

from collections.abc import Iterator
from itertools import groupby

from django.template.loader import render_to_string
from django.urls import reverse

from jobs.admin.countdown import in_utc
from jobs.admin.workflow_bars import whole_of
from jobs.admin.workflow_lines import Line, line_of_step, line_to_come
from jobs.admin.workflow_steps import step_names
from jobs.models import DeadLetter, Job, Workflow


def timeline(workflow: Workflow) -> str:
    """Return the steps that have begun, and those to come, in their order."""
    lines, whole = list(_lines(workflow)), whole_of(workflow)
    _add_links(lines)
    end = in_utc(whole.end) if workflow.ended_at else "now"
    context = {"lines": lines, "start": in_utc(whole.start), "end": end}
    return render_to_string("admin/jobs/workflow_timeline.html", context)


def _lines(workflow: Workflow) -> Iterator[Line]:
    """The state after each step is not shown: it stays in the database."""
    rows = workflow.steps.defer("state").order_by("number", "branch")
    whole, names = whole_of(workflow), step_names(workflow)
    begun = {number: list(each) for number, each in groupby(rows, lambda row: row.number)}
    for number in range(1, max([workflow.step_count, *begun]) + 1):
        if number in begun:
            yield line_of_step(workflow, whole, begun[number])
        else:
            yield line_to_come(number, names.get(number, "?"))


def _add_links(lines: list[Line]) -> None:
    """Link each job that is still there, and its newest dead letter."""
    shown = [each for line in lines for each in (line, *line.branches)]
    worked = {line.job_id: line for line in shown if line.job_id}
    for job_id in Job.objects.filter(pk__in=worked).values_list("pk", flat=True):
        worked[job_id].links.append(("Job", reverse("admin:jobs_job_change", args=[job_id])))
    letters = DeadLetter.objects.filter(job_id__in=worked).order_by("pk")
    for job_id, letter_id in dict(letters.values_list("job_id", "pk")).items():
        if job_id:
            page = reverse("admin:jobs_deadletter_change", args=[letter_id])
            worked[job_id].links.append(("Dead letter", page))

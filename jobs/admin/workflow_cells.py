"""The cells of a workflow that move while it is live, on the list and on its page."""

from django.template.loader import render_to_string
from django.utils.html import format_html

from jobs.admin.base import preformatted
from jobs.admin.countdown import countdown, in_utc
from jobs.admin.workflow_lines import as_text
from jobs.admin.workflow_steps import last_step, step_names
from jobs.admin.workflow_timeline import timeline
from jobs.models import Workflow
from jobs.states import WorkflowStatus

#: Colours of the badges.
STATUS_COLOURS = {
    WorkflowStatus.PROCESSING: "info",
    WorkflowStatus.COMPLETED: "success",
    WorkflowStatus.FAILED: "danger",
    WorkflowStatus.TIMEOUT: "warning",
}


def label(status: str) -> str:
    colour = STATUS_COLOURS.get(WorkflowStatus(status))
    return render_to_string("unfold/helpers/label.html", {"text": status, "type": colour})


def status(workflow: Workflow) -> str:
    return label(workflow.status)


def progress(workflow: Workflow) -> str:
    context = {"percent": workflow.percent, "text": f"{workflow.percent} %"}
    return render_to_string("admin/jobs/progress.html", context)


def step(workflow: Workflow) -> str:
    """Return where it is, or ended, and what that step is called."""
    number = last_step(workflow)
    return format_html(
        '<div class="whitespace-nowrap">{} of {}</div><div class="text-xs">{}</div>',
        number,
        workflow.step_count,
        step_names(workflow).get(number, ""),
    )


def deadline(workflow: Workflow) -> str:
    """Of one whose row was read together with `deadline_at`."""
    return countdown(getattr(workflow, "deadline_at", None))


def error(workflow: Workflow) -> str:
    if not workflow.error:
        return ""
    red = '<p class="text-red-600 text-sm dark:text-red-400" style="margin-top: .75rem">{}</p>'
    return format_html(red, workflow.error)


def ended(workflow: Workflow) -> str:
    return in_utc(workflow.ended_at)


def state(workflow: Workflow) -> str:
    return preformatted(as_text(workflow.state))


def timers(workflow: Workflow) -> str:
    rows = [(timer, countdown(timer.due_at)) for timer in workflow.timers.order_by("due_at")]
    return render_to_string("admin/jobs/workflow_timers.html", {"timers": rows})


def history(workflow: Workflow) -> str:
    rows = [(change, label(change.status)) for change in workflow.changes.order_by("pk")]
    return render_to_string("admin/jobs/workflow_history.html", {"changes": rows})


ROW_CELLS = {"status": status, "progress": progress, "step": step, "deadline": deadline}
PAGE_CELLS = {
    "error": error,
    "ended": ended,
    "state": state,
    "timeline": timeline,
    "timers": timers,
    "history": history,
}

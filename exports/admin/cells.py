"""The cells that change while an export runs: drawn once by the page, then again by its poller."""

from django.contrib.humanize.templatetags.humanize import intcomma
from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string

from exports.models import Export
from exports.states import ExportStatus

#: Colours of the badges.
STATUS_COLOURS = {
    ExportStatus.PROCESSING: "info",
    ExportStatus.COMPLETED: "success",
    ExportStatus.FAILED: "danger",
}


def status(export: Export) -> str:
    colour = STATUS_COLOURS.get(ExportStatus(export.status))
    return render_to_string("unfold/helpers/label.html", {"text": export.status, "type": colour})


def progress(export: Export) -> str:
    context = {"percent": percent(export), "text": rows_so_far(export)}
    return render_to_string("admin/jobs/progress.html", context)


def rows(export: Export) -> str:
    return "-" if export.row_count is None else str(intcomma(export.row_count))


def size(export: Export) -> str:
    return "-" if export.size_bytes is None else filesizeformat(export.size_bytes)


CELLS = {"status": status, "progress": progress, "rows": rows, "size": size}


def percent(export: Export) -> int:
    if export.status == ExportStatus.COMPLETED:
        return 100
    return int(100 * export.rows_done / export.rows_total) if export.rows_total else 0


def rows_so_far(export: Export) -> str:
    if export.rows_total is None:
        return "-"
    return f"{intcomma(export.rows_done)} of {intcomma(export.rows_total)}"

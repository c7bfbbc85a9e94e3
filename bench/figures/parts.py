"""Is a million items exported faster in parts, by two worker processes, than by a single job?"""

from functools import partial

from django.conf import settings
from django.test import override_settings

from bench.figures.export import ITEMS, run_export, seed
from bench.rounds import Figure, Goal, in_turns
from bench.stage import Stage
from project.accounts.models import Tenant


def measure(stage: Stage, rounds: int) -> list[Figure]:
    """Return the ratio on the same two cores; both from the request to the end, waits included."""
    many, _ = seed()
    with stage.worker(children=2), stage.relay():
        pairs = in_turns(rounds, partial(_export, many, ITEMS + 1), partial(_export, many, ITEMS))
    name = f"{ITEMS:,} items as CSV, in parts of {settings.EXPORTS_PART_ROWS:,} by two processes"
    return [Figure(name, "a single job, request to end", "rows/s", Goal(0.5), pairs)]


def _export(tenant: Tenant, parts_from_rows: int) -> float:
    """Return the rows per second from the request to the completed export."""
    with override_settings(EXPORTS_PARTS_FROM_ROWS=parts_from_rows):
        export = run_export(tenant, "csv")
    if (export.workflow_id is None) != (parts_from_rows > ITEMS):
        raise RuntimeError("The export was not written the way that is measured.")
    if export.row_count is None or export.settled_at is None:
        raise RuntimeError("A completed export lacks its rows or times.")
    return export.row_count / (export.settled_at - export.created_at).total_seconds()

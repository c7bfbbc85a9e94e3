"""How fast is a million items exported, and in how much memory? Against psql's `\\copy`."""

import re
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
from django.db import connection
from django.db.models import F, QuerySet
from django.test import override_settings
from psycopg import ClientCursor

from bench.rounds import Figure, Goal, in_turns
from bench.stage import Stage
from exports.datasets import get_dataset
from exports.formats import get_format
from exports.models import Export
from exports.operations import request_export
from exports.states import ExportStatus
from project.accounts.models import Tenant
from project.services import Child
from project.services.programs import postgres_program
from project.workspace.demo.people import TENANTS
from project.workspace.operations import seed_items, seed_tenant

ITEMS = 1_000_000
FEW_ITEMS = 10_000
MEMORY_MIB = 64
PATIENCE_SECONDS = 300


def measure(stage: Stage, rounds: int) -> list[Figure]:
    """Return the figures for rows per second in both formats, and for memory; no file in parts."""
    with override_settings(EXPORTS_PARTS_FROM_ROWS=ITEMS + 1):
        return _measure(stage, rounds)


def _measure(stage: Stage, rounds: int) -> list[Figure]:
    many, few = seed()
    pairs = {}
    with stage.worker(children=1) as worker, stage.relay():
        growth = [(float(MEMORY_MIB), _growth(worker, many, few))]
        for name, query in (("csv", _csv_query(many)), ("json", _json_query(many))):
            pairs[name] = in_turns(
                rounds, partial(_copy, stage, query), partial(_export, many, name)
            )
    goals = {"csv": Goal(0.9), "json": Goal(0.8)}
    references = {"csv": "psql \\copy of the same query", "json": "psql \\copy of row_to_json"}
    return [
        *(
            Figure(f"{ITEMS:,} items as {name}", references[name], "rows/s", goals[name], pair)
            for name, pair in pairs.items()
        ),
        Figure(
            f"peak memory of a child, from {FEW_ITEMS:,} to {ITEMS:,} rows",
            "the growth that is allowed",
            "MiB",
            Goal(1, most=True),
            growth,
        ),
    ]


def seed() -> tuple[Tenant, Tenant]:
    """Return a tenant with a million items and one with a hundredth of that."""
    tenants = []
    for demo, count in zip(TENANTS, (ITEMS, FEW_ITEMS), strict=True):
        tenant = seed_tenant(demo=demo, password="a-password", force_password=False)
        seed_items(demo=demo, tenant=tenant, count=count)
        tenants.append(tenant)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    return tenants[0], tenants[1]


def _export(tenant: Tenant, form: str) -> float:
    """Return the rows per second from the claim of the job to its settle."""
    export = run_export(tenant, form)
    job = export.job
    if job is None:
        raise RuntimeError("The export was written in parts; this measures a single job.")
    job.refresh_from_db()
    if export.row_count is None or job.settled_at is None or job.started_at is None:
        raise RuntimeError("A completed export lacks its rows or times.")
    return export.row_count / (job.settled_at - job.started_at).total_seconds()


def run_export(tenant: Tenant, form: str) -> Export:
    """Request an export and return it once it is completed."""
    export = request_export(tenant_id=tenant.pk, user_id=None, dataset="items", format=form)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while export.is_live:
        if time.monotonic() > deadline:
            raise TimeoutError("The export took more than five minutes.")
        time.sleep(0.2)
        export.refresh_from_db()
    if export.status != ExportStatus.COMPLETED:
        raise RuntimeError(f"The export has {export.status}: {export.error}")
    return export


def _copy(stage: Stage, query: str) -> float:
    """Return the rows per second of psql, its start included."""
    target = stage.directory / "copied"
    command = rf"\copy ({query}) TO '{target}' WITH (FORMAT csv)"
    started = time.perf_counter()
    done = subprocess.run(
        [postgres_program("psql"), stage.database_url, "-X", "-c", command],
        check=True,
        capture_output=True,
        text=True,
    )
    seconds = time.perf_counter() - started
    target.unlink()
    return int(done.stdout.split()[-1]) / seconds


def _csv_query(tenant: Tenant) -> str:
    """Return the query that the product copies from, text made safe for spreadsheets and all."""
    dataset, writer = get_dataset("items"), get_format("csv")
    safe = {f"{name}_text": writer.select(kind, F(name)) for name, kind in dataset.kinds().items()}
    return _one_line(dataset.rows(tenant.pk).annotate(**safe).values_list(*safe))


def _json_query(tenant: Tenant) -> str:
    dataset = get_dataset("items")
    query = _one_line(dataset.rows(tenant.pk).values_list(*dataset.kinds()))
    return f"SELECT row_to_json(line) FROM ({query}) AS line({', '.join(dataset.names)})"


def _one_line(rows: QuerySet[Any]) -> str:
    """Return the query's text, as psql's backslash commands take it."""
    sql, params = rows.query.get_compiler(connection=connection).as_sql()
    with psycopg.connect(**connection.get_connection_params()) as plain:
        return re.sub(r"\s*\n\s*", " ", ClientCursor(plain).mogrify(sql, params))


def _growth(worker: Child, many: Tenant, few: Tenant) -> float:
    """Return by how many MiB the child's peak memory grows from few rows to many."""
    [child] = worker.children()
    peaks = []
    for tenant in (few, many):
        _export(tenant, "csv"), _export(tenant, "json")
        peaks.append(_peak_mib(child))
    return peaks[1] - peaks[0]


def _peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    [kibibytes] = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kibibytes) / 1024

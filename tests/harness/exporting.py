"""Exports as a client of the HTTP API asks for them, watches them and fetches them."""

from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import requests

from tests.harness.client import Client
from tests.harness.ledger import SETTLE_SECONDS
from tests.harness.system import System
from tests.harness.waiting import wait_for

EXPORTS = "/api/v1/exports"
ENDED = frozenset({"completed", "failed", "cancelled"})

ITEMS = """
WITH project AS (
    INSERT INTO workspace_project (id, tenant_id, name, created_at, updated_at)
    VALUES (gen_random_uuid(), %(tenant)s, 'Project ' || %(first)s, now(), now()) RETURNING id)
INSERT INTO workspace_item (id, tenant_id, project_id, sku, name, description, quantity, price,
                            tags, created_at, updated_at)
SELECT gen_random_uuid(), %(tenant)s, project.id, 'SKU-' || number,
       'Lamp "No. ' || number || '", brass', E'Made by hand.\n=Bulb not included', number %% 50,
       (number %% 9000) / 100.0, '["light", "home"]', now(), now()
  FROM project, generate_series(%(first)s::int, %(first)s::int + %(count)s::int - 1) AS number
"""


def add_items(system: System, tenant_id: str, count: int, *, first: int = 1) -> None:
    """Give a tenant items that CSV has to quote, numbered from `first`, in a project of theirs."""
    values = {"tenant": UUID(tenant_id), "first": first, "count": count}
    with psycopg.connect(system.database_url) as connection:
        connection.execute(ITEMS, values)


def request_export(
    client: Client, *, format: str = "csv", dataset: str = "items", key: str | None = None
) -> dict[str, Any]:
    """Return the answer's document; it must be 202."""
    headers = {"Idempotency-Key": key} if key else {}
    body = {"format": format, "dataset": dataset}
    answer = client.post(EXPORTS, json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    return dict(answer.json())


def see_export(client: Client, export_id: str) -> dict[str, Any]:
    answer = client.get(f"{EXPORTS}/{export_id}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def rows_done(client: Client, export_id: str) -> int:
    """Return how many rows an export says it has written."""
    return int(see_export(client, export_id)["progress"]["rows"])


def wait_for_export(
    client: Client, export_id: str, *, status: str = "completed", seconds: float = SETTLE_SECONDS
) -> dict[str, Any]:
    """Wait until an export has a status, and return the export."""

    def reached() -> dict[str, Any]:
        export = see_export(client, export_id)
        assert export["status"] == status or export["status"] not in ENDED, export
        return export if export["status"] == status else {}

    return wait_for(reached, seconds, f"export {export_id} became {status}")


def download(client: Client, export: dict[str, Any]) -> bytes:
    """Return the file of a completed export, from wherever a redirect leads to."""
    answer = client.get(export["download_url"])
    if answer.status_code == 302:  # A signed link needs no token of ours, and must not get it.
        answer = requests.get(answer.headers["Location"], timeout=30)
    assert answer.status_code == 200, answer.text
    content: bytes = answer.content
    return content


def digest(content: bytes) -> str:
    return sha256(content).hexdigest()


def stored_files(system: System) -> list[Path]:
    """Return the finished files of a system that keeps them in its folder."""
    return sorted((system.directory / "exports" / "exports").rglob("*.*"))

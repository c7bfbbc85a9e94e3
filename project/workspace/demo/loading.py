"""Writes many items fast: COPY on PostgreSQL, batches elsewhere."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import F
from psycopg import sql

from project.workspace.demo.items import ItemRow
from project.workspace.models import Item

COLUMNS = (
    "id", "tenant_id", "project_id", "sku", "name", "description", "quantity", "price", "tags",
    "created_at", "updated_at",
)  # fmt: skip
BATCH_ROWS = 2_000


def load_items(rows: Iterable[ItemRow], *, tenant_id: UUID, projects: Sequence[UUID]) -> None:
    """Store the rows in the caller's transaction; a row that exists is an IntegrityError."""
    load = copy_items if connection.vendor == "postgresql" else create_items
    load(rows, tenant_id, projects)


def copy_items(rows: Iterable[ItemRow], tenant_id: UUID, projects: Sequence[UUID]) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(Item._meta.db_table), sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(
                (
                    *(row.id, tenant_id, projects[row.project], row.sku, row.name),
                    *(row.description, row.quantity, row.price, json.dumps(row.tags)),
                    *(row.created_at, row.created_at),
                )
            )


def create_items(rows: Iterable[ItemRow], tenant_id: UUID, projects: Sequence[UUID]) -> None:
    items = [
        Item(tenant_id=tenant_id, project_id=projects[number], **columns)
        for number, columns in map(split_project, rows)
    ]
    Item.objects.bulk_create(items, batch_size=BATCH_ROWS)
    # bulk_create has put the present moment there, which would differ from run to run.
    for batch in batches(items):
        ids = [item.pk for item in batch]
        Item.objects.filter(pk__in=ids).update(updated_at=F("created_at"))


def split_project(row: ItemRow) -> tuple[int, dict[str, Any]]:
    columns = row._asdict()
    return columns.pop("project"), columns


def batches(items: list[Item]) -> Iterator[list[Item]]:
    for start in range(0, len(items), BATCH_ROWS):
        yield items[start : start + BATCH_ROWS]

"""Turns a tenant's rows into the bytes of a file, in blocks, in constant memory."""

import contextlib
import uuid
from collections.abc import Generator, Iterator
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite
from django.db.models import QuerySet

from exports.datasets import Dataset
from exports.formats import Block, Format, framed
from exports.formats.copying import copied_lines
from exports.formats.fetching import fetched_lines


def stream(dataset: Dataset, tenant_id: uuid.UUID, writer: Format) -> Generator[Block, None, None]:
    """Yield a file in blocks. What they hold is one snapshot of the rows, however long it takes."""
    with contextlib.closing(lines_of(dataset, dataset.rows(tenant_id), writer)) as lines:
        yield from framed(writer, lines, dataset.names)


def lines_of(dataset: Dataset, rows: QuerySet[Any], writer: Format) -> Generator[Block, None, None]:
    """
    Yield the lines of some of the dataset's rows, of one snapshot, with nothing around them.

    It reads on a connection of its own, so that the caller may write between two blocks.
    """
    with reading_connection(rows.db) as database:
        copies = database.vendor == "postgresql" and not database.in_atomic_block
        lines = copied_lines if copies else fetched_lines
        yield from lines(rows, dataset.kinds(), dataset.names, writer, database)


@contextlib.contextmanager
def reading_connection(using: str) -> Iterator[BaseDatabaseWrapper]:
    """
    Open a second connection to the same database, and close it at the end.

    Inside a transaction, as in tests, it has to be the first: another would not see its rows.
    """
    first = connections[using]
    if first.in_atomic_block or in_memory(first):
        yield first
        return
    second = first.copy()
    try:
        yield second
    finally:
        second.close()


def in_memory(database: BaseDatabaseWrapper) -> bool:
    """Whether the database lives in its connection, so that a second would find it empty."""
    return isinstance(database, SQLite) and database.is_in_memory_db()

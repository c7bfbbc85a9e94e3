"""Reads lines from PostgreSQL, which writes them itself: COPY is the fastest way out of it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, QuerySet
from psycopg import ClientCursor, Connection

from exports.formats.base import BLOCK_BYTES, Block, Format
from exports.formats.kinds import Kind

#: What the lines look like must not depend on how the server or the role is configured.
SESSION = """
    SET datestyle = 'ISO, YMD';
    SET timezone = 'UTC';
    SET intervalstyle = 'iso_8601';
    SET bytea_output = 'hex';
    SET extra_float_digits = 1;
"""


def copied_lines(
    rows: QuerySet[Any],
    columns: dict[str, Kind],
    names: Sequence[str],
    writer: Format,
    database: BaseDatabaseWrapper,
) -> Iterator[Block]:
    """Yield the lines of the rows. The connection can do nothing else until the last is read."""
    selected = {f"{name}_text": writer.select(kind, F(name)) for name, kind in columns.items()}
    query = rows.annotate(**selected).values_list(*selected).query
    sql, params = query.get_compiler(connection=database).as_sql()
    database.ensure_connection()
    connection: Connection[Any] = database.connection
    connection.execute(SESSION)
    whole = ClientCursor(connection).mogrify(sql, params)  # COPY takes no parameters.
    with connection.cursor().copy(writer.copy(whole, names).encode()) as copy:
        yield from in_blocks(copy)


def in_blocks(lines: Iterable[bytes | bytearray | memoryview]) -> Iterator[Block]:
    """Join lines. This loop runs once per row of an export: each name in it was measured."""
    waiting: list[bytes | bytearray | memoryview] = []
    size = 0
    for line in lines:
        waiting.append(line)
        size += len(line)
        if size >= BLOCK_BYTES:
            yield Block(b"".join(waiting), len(waiting))
            waiting, size = [], 0
    if waiting:
        yield Block(b"".join(waiting), len(waiting))

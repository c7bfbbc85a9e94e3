"""Reads lines from any database, value by value, through a cursor that fetches in chunks."""

from collections.abc import Iterator, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import F, QuerySet, TextField
from django.db.models.functions import Cast

from exports.formats.base import Block, Format
from exports.formats.kinds import Kind

CHUNK_ROWS = 2_000


def fetched_lines(
    rows: QuerySet[Any],
    columns: dict[str, Kind],
    names: Sequence[str],
    writer: Format,
    database: BaseDatabaseWrapper,
) -> Iterator[Block]:
    """Yield the lines of the rows."""
    selected = {f"{name}_value": _value(name, kind) for name, kind in columns.items()}
    query = rows.annotate(**selected).values_list(*selected).query
    values = query.get_compiler(connection=database).results_iter(
        chunked_fetch=True, chunk_size=CHUNK_ROWS
    )
    template, null = writer.template(names), writer.null
    encoders = [writer.encoder(kind) for kind in columns.values()]
    waiting: list[str] = []
    for row in values:
        cells = (
            null if value is None else encode(value)
            for encode, value in zip(encoders, row, strict=True)
        )
        waiting.append(template % tuple(cells))
        if len(waiting) == CHUNK_ROWS:
            yield Block("".join(waiting).encode(), CHUNK_ROWS)
            waiting = []
    if waiting:
        yield Block("".join(waiting).encode(), len(waiting))


def _value(name: str, kind: Kind) -> Any:
    """Take JSON as text: Python's None can't tell its null from SQL's."""
    return Cast(F(name), TextField()) if kind is Kind.JSON else F(name)

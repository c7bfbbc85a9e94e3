"""JSON: one array, with one object per line, so that people and line tools can read it too."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import orjson
from django.db.models import TextField
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast

from exports.formats.base import Block
from exports.formats.kinds import Kind
from exports.formats.text import (
    datetime_parts,
    decimal_text,
    float_text,
    json_text,
    time_text,
)


class Json:
    """Numbers are exact: a decimal has all its digits, and is for the reader to read as one."""

    name = "json"
    content_type = "application/json"
    null = "null"
    joint = b",\n"

    def select(self, kind: Kind, expression: Combinable) -> Combinable:
        return Cast(expression, TextField()) if kind is Kind.OTHER else expression

    def copy(self, query: str, names: Sequence[str]) -> str:
        """
        Let PostgreSQL write the objects, and COPY add nothing to them.

        COPY's text format would double each backslash. Its CSV format changes nothing here: JSON
        never contains the two control characters that we make its quote and delimiter.
        """
        columns = ", ".join(quoted(name) for name in names)
        rows = f"SELECT row_to_json(line.*) FROM ({query}) AS line({columns})"  # noqa: S608
        return rf"COPY ({rows}) TO STDOUT (FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')"

    def template(self, names: Sequence[str]) -> str:
        members = (string(name).replace("%", "%%") + ":%s" for name in names)
        return "{" + ",".join(members) + "}\n"

    def encoder(self, kind: Kind) -> Callable[[Any], str]:
        return ENCODERS[kind]

    def head(self, names: Sequence[str]) -> bytes:
        return b"[\n"

    def joined(self, lines: Iterator[Block]) -> Iterator[Block]:
        """Put commas between the lines: a line feed stands nowhere but at the end of each."""
        before = b""
        for block in lines:
            yield Block(before + block.data[:-1].replace(b"\n", self.joint), block.rows)
            before = self.joint

    def tail(self, rows: int) -> bytes:
        return b"\n]\n" if rows else b"]\n"

    def count_rows(self, blocks: Iterable[bytes]) -> int:
        """Count the lines, but for the two with the brackets."""
        return max(sum(block.count(b"\n") for block in blocks) - 2, 0)

    def names_in(self, start: bytes) -> list[str] | None:
        """Read the first row, if there is one and it ends within the start."""
        lines = start.split(b"\n", 2)
        try:
            row = json.loads(lines[1].removesuffix(b","), parse_int=str, parse_float=str)
        except (IndexError, ValueError, RecursionError):
            return None
        return list(row) if isinstance(row, dict) else None


def quoted(name: str) -> str:
    """Return a name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def string(value: Any) -> str:
    return orjson.dumps(str(value)).decode()


def float_member(value: float) -> str:
    text = float_text(value)
    return text if text[-1].isdigit() else f'"{text}"'


def boolean_member(value: Any) -> str:
    return "true" if value else "false"


def datetime_member(value: Any) -> str:
    return '"{}T{}+00:00"'.format(*datetime_parts(value))


def time_member(value: Any) -> str:
    return f'"{time_text(value)}"'


ENCODERS: dict[Kind, Callable[[Any], str]] = {
    Kind.TEXT: string,
    Kind.OTHER: string,
    Kind.JSON: json_text,
    Kind.BOOLEAN: boolean_member,
    Kind.FLOAT: float_member,
    Kind.DECIMAL: decimal_text,
    Kind.INTEGER: str,
    Kind.DATETIME: datetime_member,
    Kind.TIME: time_member,
    Kind.PLAIN: string,
}

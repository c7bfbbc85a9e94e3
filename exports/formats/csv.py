"""CSV: comma, double quotes where needed, UTF-8, a line feed after each row, a header first."""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from django.db.models import TextField
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast

from exports.formats.base import Block
from exports.formats.kinds import Kind
from exports.formats.safe_text import safe_text, safe_text_sql
from exports.formats.text import (
    datetime_parts,
    decimal_text,
    float_text,
    json_text,
    time_text,
)

NEEDS_QUOTES = re.compile(r'[,"\r\n]')

#: What `count_rows` need not look at.
NEITHER_QUOTE_NOR_LINE_FEED = bytes(set(range(256)) - set(b'"\n'))


class Csv:
    """
    Tells NULL (nothing between the commas) from the empty text (`""`), as COPY does.

    Text and JSON cells go through the rule of `safe_text`; numbers, dates and ids do not.
    """

    name = "csv"
    content_type = "text/csv; charset=utf-8"
    null = ""
    joint = b""  # The line feed that ends each line is enough.

    def select(self, kind: Kind, expression: Combinable) -> Combinable:
        match kind:
            case Kind.TEXT:
                return safe_text_sql(expression)
            case Kind.JSON | Kind.OTHER:
                return safe_text_sql(Cast(expression, TextField()))
            case Kind.BOOLEAN:
                return Cast(expression, TextField())  # COPY would write `t` and `f`.
        return expression

    def copy(self, query: str, names: Sequence[str]) -> str:
        return f"COPY ({query}) TO STDOUT (FORMAT csv)"

    def template(self, names: Sequence[str]) -> str:
        return ",".join("%s" for _ in names) + "\n"

    def encoder(self, kind: Kind) -> Callable[[Any], str]:
        return ENCODERS[kind]

    def head(self, names: Sequence[str]) -> bytes:
        header = ",".join(cell(safe_text(name)) for name in names)
        return f"{header}\n".encode()

    def joined(self, lines: Iterator[Block]) -> Iterator[Block]:
        return lines

    def tail(self, rows: int) -> bytes:
        return b""

    def count_rows(self, blocks: Iterable[bytes]) -> int:
        """Count the line feeds outside quotes, but for the header's; `""` opens and closes."""
        lines, quoted = 0, False
        for block in blocks:
            marks = block.translate(None, NEITHER_QUOTE_NOR_LINE_FEED)
            stretches = marks.split(b'"')
            lines += sum(map(len, stretches[quoted::2]))
            quoted ^= len(stretches) % 2 == 0
        return max(lines - 1, 0)

    def names_in(self, start: bytes) -> list[str] | None:
        """Read the header, which is one line: no name has a line feed."""
        line, end, _ = start.partition(b"\n")
        if not end:
            return None
        try:
            [names] = csv.reader([line.decode()])
        except (UnicodeDecodeError, csv.Error):
            return None
        return [name.removeprefix("'") for name in names]


def cell(text: str) -> str:
    """Return the text, quoted by COPY's rule: where it must be, and where it is empty."""
    if text and not NEEDS_QUOTES.search(text):
        return text
    return '"' + text.replace('"', '""') + '"'


def text_cell(value: Any) -> str:
    return cell(safe_text(str(value)))


def json_cell(stored: str) -> str:
    return cell(safe_text(json_text(stored)))


def boolean_cell(value: Any) -> str:
    return "true" if value else "false"


def datetime_cell(value: Any) -> str:
    return "{} {}+00".format(*datetime_parts(value))


ENCODERS: dict[Kind, Callable[[Any], str]] = {
    Kind.TEXT: text_cell,
    Kind.OTHER: text_cell,
    Kind.JSON: json_cell,
    Kind.BOOLEAN: boolean_cell,
    Kind.FLOAT: float_text,
    Kind.DECIMAL: decimal_text,
    Kind.INTEGER: str,
    Kind.DATETIME: datetime_cell,
    Kind.TIME: time_text,
    Kind.PLAIN: str,
}

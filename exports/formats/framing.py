"""Makes a whole file of lines: what stands before them, between them and after them."""

from collections.abc import Iterator, Sequence

from exports.formats.base import Block, Format


def framed(writer: Format, lines: Iterator[Block], names: Sequence[str]) -> Iterator[Block]:
    rows = 0
    yield Block(writer.head(names), 0)
    for block in writer.joined(lines):
        rows += block.rows
        yield block
    tail = writer.tail(rows)
    if tail:
        yield Block(tail, 0)

"""What a file format must say, and the pieces that a file is streamed in."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from django.db.models.expressions import Combinable

from exports.formats.kinds import Kind

#: Big enough that hashing and writing cost nothing per row, small enough that memory stays flat.
BLOCK_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a file, and how many rows it brings."""

    data: bytes
    rows: int


class Format(Protocol):
    """
    A way to write rows, one per line, from either source.

    PostgreSQL builds the lines itself (`select` and `copy`); from any other database they are made
    of `template`, `null` and `encoder`. Both ways give the same bytes. A file is the head, the
    joined lines and the tail; the lines may come as several stretches, each joined by itself, with
    a joint between those that are not empty.
    """

    name: str  #: As requests and file names spell it.
    content_type: str
    null: str
    joint: bytes  #: What `joined` puts between two lines.

    def select(self, kind: Kind, expression: Combinable) -> Combinable:
        """Return what PostgreSQL shall select for a column."""

    def copy(self, query: str, names: Sequence[str]) -> str:
        """Return the COPY statement that sends one line per row of the query."""

    def template(self, names: Sequence[str]) -> str:
        """Return a line with a %s for each column."""

    def encoder(self, kind: Kind) -> Callable[[Any], str]:
        """Return what turns a value that isn't None into its place in a line."""

    def head(self, names: Sequence[str]) -> bytes:
        """Return what stands before the lines."""

    def joined(self, lines: Iterator[Block]) -> Iterator[Block]:
        """Put the joint between the lines. None of them gives no bytes, one at least one byte."""

    def tail(self, rows: int) -> bytes:
        """Return what stands after so many lines."""

    def count_rows(self, blocks: Iterable[bytes]) -> int:
        """Count the rows of a whole file, in constant memory; damaged ones give any number."""

    def names_in(self, start: bytes) -> list[str] | None:
        """Return the columns that a file's first bytes name, damaged or not; None if they don't."""

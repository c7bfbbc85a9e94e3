"""What a file format must say, and the pieces that a file is streamed in."""

from collections.abc import Callable, Iterator, Sequence
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
    of `template`, `null` and `encoder`. Both ways give the same bytes, and `framed` makes a file
    of them.
    """

    name: str  #: As requests and file names spell it.
    content_type: str
    null: str

    def select(self, kind: Kind, expression: Combinable) -> Combinable:
        """Return what PostgreSQL shall select for a column."""

    def copy(self, query: str, names: Sequence[str]) -> str:
        """Return the COPY statement that sends one line per row of the query."""

    def template(self, names: Sequence[str]) -> str:
        """Return a line with a %s for each column."""

    def encoder(self, kind: Kind) -> Callable[[Any], str]:
        """Return what turns a value that isn't None into its place in a line."""

    def framed(self, lines: Iterator[Block], names: Sequence[str]) -> Iterator[Block]:
        """Add what stands before, between and after the lines."""

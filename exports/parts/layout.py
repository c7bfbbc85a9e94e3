"""In which order a file is put together: the head, the parts with joints between, the tail."""

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

from exports.formats import Format


class Sized(Protocol):
    @property
    def rows(self) -> int: ...

    @property
    def size_bytes(self) -> int: ...


#: A part, wherever what is known of it comes from.
P = TypeVar("P", bound=Sized)


def pieces(writer: Format, names: Sequence[str], facts: Sequence[P]) -> Iterator[bytes | P]:
    """
    Yield what follows what: bytes as they are, and parts whose bytes the store has.

    An empty part has no joint before or after it: the file is the one without it.
    """
    rows = 0
    yield writer.head(names)
    for part in facts:
        if rows and part.rows:
            yield writer.joint
        yield part
        rows += part.rows
    yield writer.tail(rows)


def first_bytes(writer: Format, names: Sequence[str], facts: Sequence[Sized]) -> list[int]:
    """Return at which byte of the file each part begins."""
    starts, place = [], 0
    for piece in pieces(writer, names, facts):
        if isinstance(piece, bytes):
            place += len(piece)
        else:
            starts.append(place)
            place += piece.size_bytes
    return starts


def size_of(writer: Format, names: Sequence[str], facts: Sequence[Sized]) -> int:
    """Return how many bytes the file has."""
    parts = pieces(writer, names, facts)
    return sum(len(each) if isinstance(each, bytes) else each.size_bytes for each in parts)

"""In which order a file is put together: the head, the parts with joints between, the tail."""

from collections.abc import Iterator, Sequence

from exports.formats import Format
from exports.parts.facts import PartFacts


def pieces(
    writer: Format, names: Sequence[str], facts: Sequence[PartFacts]
) -> Iterator[bytes | PartFacts]:
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


def first_bytes(writer: Format, names: Sequence[str], facts: Sequence[PartFacts]) -> list[int]:
    """Return at which byte of the file each part begins."""
    starts, place = [], 0
    for piece in pieces(writer, names, facts):
        if isinstance(piece, PartFacts):
            starts.append(place)
            place += piece.size_bytes
        else:
            place += len(piece)
    return starts

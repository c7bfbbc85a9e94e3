"""Puts the parts together as the file that a single job would have written."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import BinaryIO

from exports.errors import NoSuchObject, PartDamaged, PartsDamaged
from exports.formats import Format
from exports.object_store import ObjectStore
from exports.operations import FileFacts
from exports.parts.facts import PartFacts
from exports.parts.layout import pieces
from exports.parts.publishing import published
from exports.parts.reading import blocks_of


def assemble(
    store: ObjectStore,
    writer: Format,
    names: Sequence[str],
    export_key: str,
    facts: Sequence[PartFacts],
    *,
    attempt: int,
    show: Callable[[int], None],
    before_publish: Callable[[], None],
) -> FileFacts:
    """
    Publish the file that these parts make, in order, and check each one on the way.

    Constant memory. `show` is called with the rows of the parts before this one, block by block;
    `before_publish` once, just before. Whatever they raise ends it, and nothing is published.
    `attempt` rises with every attempt to write this file, by whatever way.

    :raises PartsDamaged: naming all parts that are missing, or not what their facts say.
    :raises Superseded: if a later attempt has begun.
    :raises ValueError: if the parts do not follow one another.
    """
    _check_order(facts)
    rows = 0
    try:
        with published(store, export_key, attempt=attempt, before_publish=before_publish) as file:
            for piece in pieces(writer, names, facts):
                if isinstance(piece, bytes):
                    file.write(piece)
                    continue
                for block in _checked_blocks(store, piece):
                    file.write(block)
                    show(rows)
                rows += piece.rows
    except PartDamaged as first:
        left = [part for part in facts if part.number > first.number]
        raise PartsDamaged([first, *_damages(store, left, lambda: show(rows))]) from first
    return FileFacts(rows, file.size_bytes, file.sha256)


def _check_order(facts: Sequence[PartFacts]) -> None:
    """:raises ValueError: for a file that would lack rows, or have them twice, and look whole."""
    begins = not facts or facts[0].after is None
    if not begins or any(one.up_to != other.after for one, other in pairwise(facts)):
        numbers = ", ".join(str(part.number) for part in facts)
        raise ValueError(f"Parts {numbers}: give all of them, in the order of their ranges.")


def _damages(
    store: ObjectStore, parts: Sequence[PartFacts], show: Callable[[], None]
) -> Iterator[PartDamaged]:
    """Read parts whose file can't be made any more: one retry shall mend all of them."""
    for part in parts:
        try:
            for _ in _checked_blocks(store, part):
                show()
        except PartDamaged as damage:
            yield damage


def _checked_blocks(store: ObjectStore, part: PartFacts) -> Iterator[bytes]:
    """:raises PartDamaged: after the last block, or before a byte too many."""
    digest = hashlib.sha256()
    size = 0
    with contextlib.closing(_opened(store, part)) as file:
        for block in blocks_of(file):
            digest.update(block)
            size += len(block)
            if size > part.size_bytes:
                break
            yield block
    if (size, digest.hexdigest()) != (part.size_bytes, part.sha256):
        raise PartDamaged(part.number, part.key, "not what was written")


def _opened(store: ObjectStore, part: PartFacts) -> BinaryIO:
    try:
        return store.open(part.key)
    except NoSuchObject as error:
        raise PartDamaged(part.number, part.key, "missing") from error

"""Writes one part: the lines of a range of keys, into an object of its own."""

import contextlib
import uuid
from collections.abc import Callable

from exports.datasets import Dataset
from exports.formats import Format
from exports.object_store import ObjectStore
from exports.parts.facts import PartFacts
from exports.parts.keys import part_key
from exports.parts.publishing import Measured, published
from exports.parts.ranges import KeyRange, rows_within
from exports.streams import lines_of


def write_part(
    store: ObjectStore,
    dataset: Dataset,
    writer: Format,
    tenant_id: uuid.UUID,
    export_key: str,
    key_range: KeyRange,
    *,
    attempt: int,
    show: Callable[[int], None],
    before_publish: Callable[[], None],
) -> PartFacts:
    """
    Publish the joined lines of a range as they are in one snapshot, in constant memory.

    A part that was published before is replaced. `show` is called with the rows so far, block by
    block; `before_publish` once, just before. Whatever they raise ends it, and nothing is
    published. `attempt` rises with every attempt to write this part.

    :raises Superseded: if a later attempt has begun.
    """
    key = part_key(export_key, key_range.number)
    with published(store, key, attempt=attempt, before_publish=before_publish) as file:
        rows = _write_lines(file, dataset, writer, tenant_id, key_range, show)
    return PartFacts(
        number=key_range.number,
        key=key,
        rows=rows,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
        after=key_range.after,
        up_to=key_range.up_to,
    )


def _write_lines(
    file: Measured,
    dataset: Dataset,
    writer: Format,
    tenant_id: uuid.UUID,
    key_range: KeyRange,
    show: Callable[[int], None],
) -> int:
    """Return how many rows were written."""
    rows = 0
    found = lines_of(dataset, rows_within(dataset, tenant_id, key_range), writer)
    with contextlib.closing(found) as lines:
        for block in writer.joined(lines):
            file.write(block.data)
            rows += block.rows
            show(rows)
    return rows

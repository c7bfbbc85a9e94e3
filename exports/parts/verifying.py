"""Proves a stored file against its manifest, or against its row if a single job wrote it."""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from exports.errors import NoSuchObject, NotCompleted
from exports.formats import get_format
from exports.models import Export
from exports.object_store import ObjectStore
from exports.operations import FileFacts
from exports.parts.manifest import Manifest, ManifestPart, read_manifest
from exports.parts.reading import blocks_of
from exports.states import ExportStatus


@dataclass(frozen=True)
class Proof:
    """What is stored, and what of it is not as it should be: nothing, if it is proved."""

    found: FileFacts
    parts: int | None  #: None if there is no manifest.
    differences: list[str]

    @property
    def holds(self) -> bool:
        return not self.differences


def verify(store: ObjectStore, export: Export) -> Proof:
    """
    Read a completed export's file once, in constant memory, and compare it with what is known.

    :raises NotCompleted: if there is no file yet, or never will be.
    :raises NoSuchObject: if the store has lost the file.
    :raises ManifestDamaged: if its manifest is none.
    """
    if export.status != ExportStatus.COMPLETED:
        raise NotCompleted(export.pk, export.status)
    row = FileFacts(export.row_count or 0, export.size_bytes or 0, export.sha256)
    manifest = _manifest_of(store, export)
    reader = FileReader(manifest.parts if manifest else [])
    with contextlib.closing(store.open(export.key)) as file:
        rows = get_format(export.format).count_rows(reader.blocks(file))
    found = FileFacts(rows, reader.size_bytes, reader.digest.hexdigest())
    if manifest is None:
        return Proof(found, None, list(_compare("the file", found, "the export", row)))
    differences = [
        *_compare("the file", found, "the manifest", _facts_of(manifest)),
        *_compare_parts(manifest, reader.sections),
        *_compare("the manifest", _facts_of(manifest), "the export", row),
    ]
    return Proof(found, len(manifest.parts), differences)


@dataclass
class FileReader:
    """Passes a file on in blocks, and measures it and each of its parts meanwhile."""

    parts: list[ManifestPart]
    size_bytes: int = 0
    sections: list[str] = field(default_factory=list)  #: The SHA-256 of each part.

    def __post_init__(self) -> None:
        self.digest = hashlib.sha256()

    def blocks(self, file: BinaryIO) -> Iterator[bytes]:
        for part in self.parts:
            yield from self._measured(blocks_of(file, part.first_byte - self.size_bytes))
            section = hashlib.sha256()
            for block in self._measured(blocks_of(file, part.size_bytes)):
                section.update(block)
                yield block
            self.sections.append(section.hexdigest())
        yield from self._measured(blocks_of(file))

    def _measured(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self.digest.update(block)
            self.size_bytes += len(block)
            yield block


def _manifest_of(store: ObjectStore, export: Export) -> Manifest | None:
    try:
        return read_manifest(store, export)
    except NoSuchObject:
        return None


def _facts_of(manifest: Manifest) -> FileFacts:
    return FileFacts(manifest.rows, manifest.size_bytes, manifest.sha256)


def _compare(name: str, facts: FileFacts, other: str, wanted: FileFacts) -> Iterator[str]:
    pairs = {
        "bytes": (facts.size_bytes, wanted.size_bytes),
        "SHA-256": (facts.sha256, wanted.sha256),
        "rows": (facts.row_count, wanted.row_count),
    }
    for what, (is_so, should_be) in pairs.items():
        if is_so != should_be:
            yield f"{what}: {name} has {is_so}, {other} says {should_be}"


def _compare_parts(manifest: Manifest, sections: list[str]) -> Iterator[str]:
    for part, sha256 in zip(manifest.parts, sections, strict=True):
        if sha256 != part.sha256:
            end = part.first_byte + part.size_bytes
            place = f"part {part.number} (bytes {part.first_byte} to {end})"
            yield f"{place}: the file's SHA-256 is {sha256}, the manifest says {part.sha256}"
    rows = sum(part.rows for part in manifest.parts)
    if rows != manifest.rows:
        yield f"rows: the parts have {rows}, the manifest says {manifest.rows}"

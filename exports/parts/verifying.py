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
from exports.parts.comparing import (
    Section,
    compare_facts,
    compare_manifest,
    compare_seal,
    facts_of_row,
)
from exports.parts.keys import manifest_key
from exports.parts.manifest import Manifest, ManifestPart, read_with_sha256
from exports.parts.reading import blocks_of
from exports.states import ExportStatus

#: How much of a file may be kept to read the columns from: a first row may be of any size.
START_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Proof:
    """What is stored, and what of it is not as it should be: nothing, if it is proved."""

    found: FileFacts
    parts: int | None  #: None if there is no manifest.
    code_version: str | None  #: Which version wrote the manifest, as it says itself.
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
    try:
        manifest, sha256 = read_with_sha256(store, export)
    except NoSuchObject:
        return _proved_by_row(store, export)
    return _proved_by_manifest(store, export, manifest, sha256)


def _proved_by_row(store: ObjectStore, export: Export) -> Proof:
    found = _read(store, export, FileReader([]))
    differences = list(compare_facts("the file", found, "the export", facts_of_row(export)))
    # The workflow is deleted in time; of what older releases wrote, only it says so.
    if export.manifest_sha256 or export.workflow_id:
        key = manifest_key(export.tenant_id, export.pk)
        differences.append(f"manifest: the store has no {key}, and the export was made in parts")
    return Proof(found, None, None, differences)


def _proved_by_manifest(
    store: ObjectStore, export: Export, manifest: Manifest, sha256: str
) -> Proof:
    reader = FileReader(manifest.parts)
    found = _read(store, export, reader)
    names = get_format(export.format).names_in(bytes(reader.start))
    differences = [
        *compare_manifest(manifest, export, found, names, reader.sections),
        *compare_seal(sha256, export, names),
    ]
    return Proof(found, len(manifest.parts), manifest.code_version, differences)


def _read(store: ObjectStore, export: Export, reader: "FileReader") -> FileFacts:
    with contextlib.closing(store.open(export.key)) as file:
        rows = get_format(export.format).count_rows(reader.blocks(file))
    return FileFacts(rows, reader.size_bytes, reader.digest.hexdigest())


@dataclass
class FileReader:
    """Passes a file on in blocks, and measures it and each of its parts meanwhile."""

    parts: list[ManifestPart]
    size_bytes: int = 0
    sections: list[Section] = field(default_factory=list)  #: Of each part.
    start: bytearray = field(default_factory=bytearray)  #: Up to START_BYTES.

    def __post_init__(self) -> None:
        self.digest = hashlib.sha256()

    def blocks(self, file: BinaryIO) -> Iterator[bytes]:
        for part in self.parts:
            yield from self._measured(blocks_of(file, part.first_byte - self.size_bytes))
            section, begin = hashlib.sha256(), self.size_bytes
            for block in self._measured(blocks_of(file, part.size_bytes)):
                section.update(block)
                yield block
            self.sections.append((self.size_bytes - begin, section.hexdigest()))
        yield from self._measured(blocks_of(file))

    def _measured(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        for block in blocks:
            self.digest.update(block)
            self.size_bytes += len(block)
            self.start += block[: START_BYTES - len(self.start)]
            yield block

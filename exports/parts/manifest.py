"""The manifest: what is known of a file that was put together, kept beside it in the store."""

import contextlib
import hashlib
import uuid
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Annotated, Self

from django.utils import timezone
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from exports.errors import ManifestDamaged, NoSuchObject
from exports.formats import get_format
from exports.models import Export
from exports.object_store import ObjectStore
from exports.operations import FileFacts
from exports.parts.facts import PartFacts
from exports.parts.keys import manifest_key
from exports.parts.layout import first_bytes
from exports.parts.publishing import published
from exports.parts.version import CODE_VERSION
from jobs.payloads import faults_of

CONSISTENCY = (
    "The keys up to the greatest at the start were cut into ranges. Each part is one snapshot of "
    "its range. Rows that changed meanwhile appear in either version; rows that were added later "
    "with greater keys do not appear."
)


#: No file has more; a sum of these can still be printed.
Count = Annotated[int, Field(ge=0, lt=2**63)]


class Strict(BaseModel):
    """What is not as we write it was changed. A field that a release adds must have a default."""

    model_config = ConfigDict(strict=True, extra="forbid")


class ManifestPart(Strict):
    number: int
    after: str | None
    up_to: str
    rows: Count
    first_byte: Count  #: Where it begins in the file, from 0.
    size_bytes: Count
    sha256: str


class Manifest(Strict):
    export_id: uuid.UUID
    dataset: str
    format: str
    columns: list[str]
    rows: Count
    size_bytes: Count
    sha256: str
    parts: list[ManifestPart]
    consistency: str
    code_version: str
    created_at: AwareDatetime

    @model_validator(mode="after")
    def lies_in_order(self) -> Self:
        """:raises ValueError: if a part begins before the end of another: none could be read so."""
        for one, other in pairwise(self.parts):
            if other.first_byte < one.first_byte + one.size_bytes:
                raise ValueError(
                    f"part {other.number} has the first_byte {other.first_byte}, before the end of "
                    f"part {one.number} by its first_byte and size_bytes"
                )
        return self


def write_manifest(
    store: ObjectStore,
    export: Export,
    names: Sequence[str],
    facts: Sequence[PartFacts],
    file_facts: FileFacts,
    *,
    attempt: int,
    before_publish: Callable[[], None] = lambda: None,
) -> str:
    """
    Publish what is known of an export's file, and return the SHA-256 of what was published.

    A manifest that was there is replaced.

    :raises Superseded: if a later attempt has begun.
    """
    key = manifest_key(export.tenant_id, export.pk)
    manifest = Manifest(
        export_id=export.pk,
        dataset=export.dataset,
        format=export.format,
        columns=list(names),
        rows=file_facts.row_count,
        size_bytes=file_facts.size_bytes,
        sha256=file_facts.sha256,
        parts=_parts(export, names, facts),
        consistency=CONSISTENCY,
        code_version=CODE_VERSION,
        created_at=timezone.now(),
    )
    with published(store, key, attempt=attempt, before_publish=before_publish) as file:
        file.write(manifest.model_dump_json(indent=2).encode() + b"\n")
    return file.sha256


def read_manifest(store: ObjectStore, export: Export) -> Manifest:
    """As `read_with_sha256`, for whoever needs the manifest alone."""
    return read_with_sha256(store, export)[0]


def read_with_sha256(store: ObjectStore, export: Export) -> tuple[Manifest, str]:
    """
    Return what is known of an export's file, and the SHA-256 of the bytes that say so.

    :raises NoSuchObject: if it has no manifest: a single job wrote it, or it was deleted.
    :raises ManifestDamaged: if what lies there is none.
    """
    key = manifest_key(export.tenant_id, export.pk)
    with contextlib.closing(store.open(key)) as file:
        found = file.read()
    try:
        return Manifest.model_validate_json(found), hashlib.sha256(found).hexdigest()
    except ValidationError as error:
        raise ManifestDamaged(key, faults_of(error, "manifest")) from error


def delete_manifest(store: ObjectStore, tenant_id: uuid.UUID, export_id: uuid.UUID) -> None:
    """
    Delete the manifest, if there is one. Idempotent.

    It looks first: few exports have one, and a bucket that keeps versions would note every delete.
    """
    key = manifest_key(tenant_id, export_id)
    with contextlib.suppress(NoSuchObject):
        store.size(key)
        store.delete(key)


def _parts(export: Export, names: Sequence[str], facts: Sequence[PartFacts]) -> list[ManifestPart]:
    starts = first_bytes(get_format(export.format), names, facts)
    return [
        ManifestPart(
            number=part.number,
            after=part.after,
            up_to=part.up_to,
            rows=part.rows,
            first_byte=first_byte,
            size_bytes=part.size_bytes,
            sha256=part.sha256,
        )
        for first_byte, part in zip(starts, facts, strict=True)
    ]

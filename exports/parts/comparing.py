"""Says in which fields a file, its manifest and the export's row differ: a line for each."""

from collections.abc import Iterator, Sequence
from typing import Any

from exports.formats import get_format
from exports.models import Export
from exports.operations import FileFacts
from exports.parts.layout import first_bytes, size_of
from exports.parts.manifest import Manifest, ManifestPart

#: Characters of a value that are shown.
SHOWN_MAX = 200

#: Fields that only the manifest knows: its own SHA-256 alone tells that one was changed.
KNOWN_NOWHERE_ELSE = ("consistency", "code_version", "created_at", "up_to of the last part")

#: How many bytes a file has in the place of a part, and their SHA-256.
Section = tuple[int, str]


def facts_of_row(export: Export) -> FileFacts:
    return FileFacts(export.row_count or 0, export.size_bytes or 0, export.sha256)


def compare_facts(name: str, facts: FileFacts, other: str, wanted: FileFacts) -> Iterator[str]:
    yield from _differs("size_bytes", name, facts.size_bytes, other, wanted.size_bytes)
    yield from _differs("sha256", name, facts.sha256, other, wanted.sha256)
    yield from _differs("rows", name, facts.row_count, other, wanted.row_count)


def compare_manifest(
    manifest: Manifest,
    export: Export,
    found: FileFacts,
    names: list[str] | None,
    sections: Sequence[Section],
) -> Iterator[str]:
    """`names` are the columns that the file names; None if it has no row, or a very long one."""
    ours = FileFacts(manifest.rows, manifest.size_bytes, manifest.sha256)
    yield from compare_facts("the file", found, "the manifest", ours)
    if names is not None:
        yield from _differs("columns", "the file", names, "the manifest", manifest.columns)
    yield from _compare_order(manifest.parts)
    yield from _compare_places(manifest, export, names or manifest.columns)
    yield from _compare_sections(manifest.parts, sections)
    rows = sum(part.rows for part in manifest.parts)
    yield from _differs("rows", "the sum of the parts", rows, "the manifest", manifest.rows)
    for field in ("dataset", "format"):
        is_so, should_be = getattr(manifest, field), getattr(export, field)
        yield from _differs(field, "the manifest", is_so, "the export", should_be)
    yield from _differs("export_id", "the manifest", manifest.export_id, "the export", export.pk)
    yield from compare_facts("the manifest", ours, "the export", facts_of_row(export))


def compare_seal(sha256: str, export: Export, names: list[str] | None) -> Iterator[str]:
    """Compare the manifest's own SHA-256; the row of one of an older release has none."""
    if export.manifest_sha256 in ("", sha256):
        return
    fields = ", ".join([*KNOWN_NOWHERE_ELSE, *(["columns"] if names is None else [])])
    yield from _differs("SHA-256", "the manifest", sha256, "the export", export.manifest_sha256)
    yield f"If no other line names what was changed in it, it is one of: {fields}; or its layout."


def _compare_order(parts: Sequence[ManifestPart]) -> Iterator[str]:
    up_to = None
    for place, part in enumerate(parts, start=1):
        field = f"part {place}, number"
        yield from _differs(field, "the manifest", part.number, "its place", place)
        field = f"part {place}, after"
        yield from _differs(field, "the manifest", part.after, "up_to of the one before", up_to)
        up_to = part.up_to


def _compare_places(manifest: Manifest, export: Export, names: list[str]) -> Iterator[str]:
    """Only the first that is wrong: all that follow it are wrong then."""
    writer = get_format(export.format)
    places = first_bytes(writer, names, manifest.parts)
    for part, place in zip(manifest.parts, places, strict=True):
        if part.first_byte != place:
            field = f"part {part.number}, first_byte"
            before = "size_bytes of what is before"
            yield from _differs(field, "the manifest", part.first_byte, before, place)
            return
    size_bytes = size_of(writer, names, manifest.parts)
    parts = "the parts with what joins them"
    yield from _differs("size_bytes", parts, size_bytes, "the manifest", manifest.size_bytes)


def _compare_sections(parts: Sequence[ManifestPart], sections: Sequence[Section]) -> Iterator[str]:
    for part, (size_bytes, sha256) in zip(parts, sections, strict=True):
        place = f"the file from byte {part.first_byte} to {part.first_byte + part.size_bytes}"
        field = f"part {part.number}, "
        yield from _differs(
            field + "size_bytes", place, size_bytes, "the manifest", part.size_bytes
        )
        yield from _differs(field + "sha256", place, sha256, "the manifest", part.sha256)


def _differs(field: str, name: str, is_so: Any, other: str, should_be: Any) -> Iterator[str]:
    if is_so != should_be:
        yield f"{field}: {name} has {_shown(is_so)}, {other} says {_shown(should_be)}"


def _shown(value: Any) -> str:
    """Return a value on one line: of a manifest that was changed it may be any text."""
    text = ", ".join(value) if isinstance(value, list) else str(value)
    text = text if text.isprintable() else repr(text)
    return text if len(text) <= SHOWN_MAX else f"{text[:SHOWN_MAX]}…"

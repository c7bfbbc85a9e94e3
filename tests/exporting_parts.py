"""Exports in parts without a workflow around them: each step called by the test itself."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from exports.datasets import get_dataset
from exports.formats import get_format
from exports.models import Export
from exports.object_store import ObjectStore
from exports.object_store.file import FileStore
from exports.object_store.s3 import S3Store, client_of_process
from exports.operations import FileFacts
from exports.parts.assembling import assemble
from exports.parts.facts import PartFacts
from exports.parts.ranges import KeyRange, cut
from exports.parts.writing import write_part
from exports.streams import stream
from tests.harness.s3 import make_bucket, s3_server


def nothing(*_: object) -> None:
    pass


def write(
    store: ObjectStore,
    export: Export,
    key_range: KeyRange,
    *,
    attempt: int = 1,
    show: Callable[[int], None] = nothing,
    before_publish: Callable[[], None] = nothing,
) -> PartFacts:
    return write_part(
        store, get_dataset(export.dataset), get_format(export.format), export.tenant_id,
        export.key, key_range, attempt=attempt, show=show, before_publish=before_publish,
    )  # fmt: skip


def write_all(store: ObjectStore, export: Export, *, rows_per_part: int) -> list[PartFacts]:
    dataset = get_dataset(export.dataset)
    ranges = cut(dataset, export.tenant_id, rows_per_part=rows_per_part)
    return [write(store, export, each) for each in ranges]


def put_together(
    store: ObjectStore,
    export: Export,
    facts: Sequence[PartFacts],
    *,
    attempt: int = 1,
    show: Callable[[int], None] = nothing,
    before_publish: Callable[[], None] = nothing,
) -> FileFacts:
    return assemble(
        store, get_format(export.format), get_dataset(export.dataset).names, export.key, facts,
        attempt=attempt, show=show, before_publish=before_publish,
    )  # fmt: skip


def of_a_single_job(export: Export) -> bytes:
    """Return the bytes that one job would write now."""
    blocks = stream(get_dataset(export.dataset), export.tenant_id, get_format(export.format))
    return b"".join(block.data for block in blocks)


def content(store: ObjectStore, key: str) -> bytes:
    with closing(store.open(key)) as file:
        return file.read()


def put(store: ObjectStore, key: str, data: bytes) -> None:
    """Replace an object, as somebody does who goes behind the product's back."""
    part = store.start_part(key, 1_000)
    part.write(data)
    part.publish()


@contextmanager
def s3_endpoint() -> Iterator[str]:
    """Serve S3, and let this process's stores use it."""
    with s3_server() as endpoint, pytest.MonkeyPatch.context() as patch:
        for name, value in make_bucket(endpoint).environment.items():
            patch.setenv(name, value)
        client_of_process.cache_clear()
        yield endpoint
        client_of_process(os.getpid()).close()
        client_of_process.cache_clear()


def make_store(kind: str, folder: Path, endpoint: str) -> tuple[ObjectStore, str]:
    """Return an empty store, and the URL that names it."""
    if kind == "file":
        return FileStore(folder), f"file://{folder}"
    bucket = make_bucket(endpoint)
    return S3Store(bucket.name), bucket.url

"""The check that finished exports can be stored, read and removed."""

import contextlib
from collections.abc import Iterator
from functools import partial
from uuid import uuid4

from django.conf import settings

from exports.errors import StoreMissing
from exports.object_store import ObjectStore, Part, store_from_url
from exports.queries import has_written
from jobs.doctor import Finding, Status

PROBE = b"Written by doctor; may be deleted.\n"
REMEDY = "See EXPORTS_STORAGE_URL, and who may write there."


def storage_works() -> Finding:
    """
    Write a small object, ask for its size, remove it.

    May block for five minutes in each of up to three calls to a bucket that takes connections and
    answers nothing, for a minute where none are taken; at a network mount, as long as that does.
    """
    store = store_from_url(settings.EXPORTS_STORAGE_URL)
    return _find_missing(store) or _try_out(store)


def _find_missing(store: ObjectStore) -> Finding | None:
    """Look before the probe makes the folder: one that isn't mounted would look like a new one."""
    try:
        store.check_is_there()
    except StoreMissing as error:
        if has_written():  # Else it is new: the probe makes it, as the first attempt would.
            return _failed(error)
    except Exception as error:
        return _failed(error)
    return None


def _try_out(store: ObjectStore) -> Finding:
    try:
        size = _probe(store, f"doctor/{uuid4()}.csv")
    except Exception as error:  # Whatever a file system or boto3 raises.
        return _failed(error)
    if size != len(PROBE):
        words = f"{len(PROBE)} bytes were written, {size} are there"
        return Finding(Status.FAILED, words, "See EXPORTS_STORAGE_URL.")
    return Finding(Status.OK, f"{settings.EXPORTS_STORAGE_URL} takes and gives")


def _probe(store: ObjectStore, key: str) -> int:
    with _removed(store, key) as part:
        part.write(PROBE)
        part.publish()
        return store.size(key)


@contextlib.contextmanager
def _removed(store: ObjectStore, key: str) -> Iterator[Part]:
    """Leave neither part nor file behind, however it ends: this comes every five minutes."""
    part = store.start_part(key, 1)
    try:
        yield part
    except BaseException:
        for undo in (part.discard, partial(store.delete, key)):
            with contextlib.suppress(Exception):  # What failed first is what there is to tell.
                undo()
        raise
    store.delete(key)


def _failed(error: Exception) -> Finding:
    words = " ".join(f"{type(error).__name__}: {error}".split())[:160]
    return Finding(Status.FAILED, words, REMEDY)

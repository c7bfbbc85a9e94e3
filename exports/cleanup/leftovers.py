"""Deletes the parts and manifests that no export needs, after a second look under a lock."""

import uuid
from collections.abc import Iterator
from datetime import datetime
from itertools import groupby

from django.db import transaction

from exports.cleanup.strays import lock_export
from exports.models import Export
from exports.object_store import ObjectStore
from exports.parts.keys import MANIFESTS, PARTS, manifest_key, parts_folder
from exports.states import ExportStatus

#: How many names the folder of one export's parts has: the only kind that is ever forgotten.
PARTS_FOLDER_DEPTH = 3


def delete_leftovers(store: ObjectStore, *, before: datetime) -> int:
    """
    Delete parts and manifests that were written before and that nobody needs; return how many.

    Parts are for live exports, manifests for live and completed ones.
    """
    return sum(
        _delete(store, key)
        for folder in (PARTS, MANIFESTS)
        for key in _leftovers(store, folder, before)
    )


def _leftovers(store: ObjectStore, folder: str, before: datetime) -> Iterator[str]:
    """Yield what looks needless, one tenant after the other; memory is bounded by one tenant's."""
    for _, objects in groupby(store.list_objects(folder), lambda each: each.key.split("/")[1]):
        old = [each.key for each in objects if each.modified_at < before]
        exports = Export.objects.in_bulk([each for each in map(_id_in, old) if each])
        yield from (key for key in old if not _is_needed(key, exports.get(_id_in(key))))


def _delete(store: ObjectStore, key: str) -> bool:
    """
    Delete an object if nobody needs it; return whether it was deleted.

    Losing the race to a retry by hand means that its export is live again, and may go on with it.
    """
    with transaction.atomic():
        if _is_needed(key, lock_export(_id_in(key))):
            return False
        store.delete(key)
        folder = key.rpartition("/")[0]
        if len(folder.split("/")) == PARTS_FOLDER_DEPTH:
            store.forget_folder(folder)
    return True


def _is_needed(key: str, export: Export | None) -> bool:
    if export is None:
        return False
    if key == manifest_key(export.tenant_id, export.pk):
        return export.is_live or export.status == ExportStatus.COMPLETED
    return export.is_live and key.startswith(parts_folder(export.tenant_id, export.pk) + "/")


def _id_in(key: str) -> uuid.UUID | None:
    """Return the export's id: in `parts/<tenant>/<id>/…` and in `manifests/<tenant>/<id>.json`."""
    try:
        return uuid.UUID(key.split("/")[2].partition(".")[0])
    except (IndexError, ValueError):
        return None

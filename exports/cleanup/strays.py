"""Deletes files without a row, and rows without a file, after a second look under a lock."""

import uuid
from pathlib import PurePosixPath

from django.db import transaction

from exports.cleanup import log_events
from exports.cleanup.survey import may_not_exist
from exports.errors import NoSuchObject
from exports.models import Export
from exports.object_store import ObjectStore
from exports.states import ExportStatus


def delete_orphan(store: ObjectStore, key: str) -> bool:
    """
    Delete a file if no export wants it; return whether it was deleted.

    Losing the race to a retry by hand means that its export is live again: it replaces the file.
    """
    with transaction.atomic():
        export = lock_export(_id_in(key))
        if export and export.key == key and not may_not_exist(export):
            return False
        store.delete(key)
    return True


def delete_fileless(store: ObjectStore, export_id: uuid.UUID) -> bool:
    """
    Delete a completed export if its file is gone; return whether it was deleted.

    Losing the race means that somebody else deleted it.
    """
    with transaction.atomic():
        export = lock_export(export_id)
        if export is None or export.status != ExportStatus.COMPLETED or _has_file(store, export):
            return False
        log_events.file_lost(export)
        export.delete()
    return True


def lock_export(export_id: uuid.UUID | None) -> Export | None:
    """Wait for a row that is held: not to see it would mean that its file has no owner."""
    if export_id is None:
        return None
    return Export.objects.select_for_update(of=("self",)).filter(pk=export_id).first()


def _has_file(store: ObjectStore, export: Export) -> bool:
    try:
        store.size(export.key)
    except NoSuchObject:
        return False
    return True


def _id_in(key: str) -> uuid.UUID | None:
    """Return the id that a file is named after, if it is one."""
    try:
        return uuid.UUID(PurePosixPath(key).stem)
    except ValueError:
        return None

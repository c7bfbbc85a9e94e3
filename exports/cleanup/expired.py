"""Deletes exports that settled long ago: the manifest and the file first, then the row."""

from datetime import datetime
from functools import partial

from django.db.models import QuerySet

from exports.models import Export
from exports.object_store import ObjectStore
from exports.parts.manifest import delete_manifest
from exports.states import LIVE
from jobs.upkeep.batches import act_in_batches

#: A transaction for each: the store can't take back a file that it deleted, so a rollback must
#: bring back one row without a file at most. Of many, the store would look like a wrong one.
#: Nor are rows locked while the store is asked about others.
BATCH_EXPORTS = 1


def delete_expired(store: ObjectStore, *, before: datetime) -> int:
    """
    Delete exports that settled before that moment, with their files; return how many.

    They are walked by id, which rises with time: there is no index on `settled_at`.
    """
    old = Export.objects.exclude(status__in=LIVE).filter(settled_at__lt=before)
    return act_in_batches(old, partial(_delete_with_files, store), size=BATCH_EXPORTS)


def _delete_with_files(store: ObjectStore, exports: QuerySet[Export]) -> None:
    """
    Delete a locked export; killed in between, the row is there and the next run goes on.

    Losing the race to a retry by hand means that the export is live again and not this one;
    a retry that comes later waits for the lock, and is refused.
    """
    for export in exports.only("tenant_id", "format"):
        delete_manifest(store, export.tenant_id, export.pk)
        store.delete(export.key)
    exports.delete()

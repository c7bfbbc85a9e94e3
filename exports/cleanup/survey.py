"""Compares the store with the rows, one tenant after the other, and touches neither."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby

from exports.models import Export
from exports.object_store import ObjectStore
from exports.states import ExportStatus

#: The folder of every export's key.
FOLDER = "exports"

#: These have a file that nobody may have.
UNFINISHED = (ExportStatus.FAILED, ExportStatus.CANCELLED)

#: A tenant's files, by key, and when each was last written to.
Files = dict[str, datetime]


@dataclass
class Survey:
    """What has lost its other half, as far as a look without a lock can tell."""

    orphans: list[str] = field(default_factory=list)
    fileless: list[uuid.UUID] = field(default_factory=list)
    completed: int = 0

    @property
    def looks_wrong(self) -> bool:
        """
        Whether more than half of the files are missing: this is not the store they were written to.

        A single one says nothing: a clean-up that is killed leaves as much, by design.
        """
        missing = len(self.fileless)
        return missing > 1 and missing * 2 > self.completed

    def compare(self, tenant: str, files: Files, *, before: datetime) -> None:
        """Compare a tenant's files with its rows; a file younger than `before` is no orphan yet."""
        exports = _exports_of(tenant)
        self.orphans += [
            key
            for key, modified_at in files.items()
            if modified_at < before and may_not_exist(exports.get(key))
        ]
        completed = {key for key, each in exports.items() if each.status == ExportStatus.COMPLETED}
        self.completed += len(completed)
        self.fileless += [exports[key].pk for key in sorted(completed - files.keys())]


def survey(store: ObjectStore, *, before: datetime) -> Survey:
    """
    Look at every file and every row; memory is bounded by one tenant's.

    A tenant's rows are read after its files were listed: a file without a row will never have
    one, and a row that was completed in between is looked at again before it is deleted.
    """
    found = Survey()
    for tenant, files in _tenants(store):
        found.compare(tenant, files, before=before)
    return found


def may_not_exist(export: Export | None) -> bool:
    """Whether the file of this export, or of none, is a leftover."""
    return export is None or export.status in UNFINISHED


def _tenants(store: ObjectStore) -> Iterator[tuple[str, Files]]:
    """Yield the tenants that have files, then those that have completed exports and no file."""
    seen = set()
    for tenant, objects in groupby(store.list_objects(FOLDER), lambda each: each.key.split("/")[1]):
        seen.add(tenant)
        yield tenant, {each.key: each.modified_at for each in objects}
    completed = Export.objects.filter(status=ExportStatus.COMPLETED).order_by()
    for tenant_id in completed.values_list("tenant_id", flat=True).distinct():
        if str(tenant_id) not in seen:
            yield str(tenant_id), {}


def _exports_of(tenant: str) -> dict[str, Export]:
    """Return a tenant's exports by the keys of their files; a folder may have any name."""
    try:
        exports = Export.objects.filter(tenant_id=uuid.UUID(tenant))
    except ValueError:
        return {}
    return {each.key: each for each in exports.only("tenant_id", "format", "status")}

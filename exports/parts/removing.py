"""Takes the parts of an export away once nobody needs them."""

import uuid

from exports.object_store import ObjectStore
from exports.parts.keys import parts_folder


def remove_parts(store: ObjectStore, tenant_id: uuid.UUID, export_id: uuid.UUID) -> int:
    """Delete the published parts of an export; return how many there were. Idempotent."""
    folder = parts_folder(tenant_id, export_id)
    keys = [each.key for each in store.list_objects(folder)]
    for key in keys:
        store.delete(key)
    store.forget_folder(folder)
    return len(keys)

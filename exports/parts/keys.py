"""Where the objects of an export in parts are: its parts and its manifest."""

import uuid
from pathlib import PurePosixPath

#: The folders of every part's and every manifest's key.
PARTS = "parts"
MANIFESTS = "manifests"


def parts_folder(tenant_id: uuid.UUID, export_id: uuid.UUID) -> str:
    return f"{PARTS}/{tenant_id}/{export_id}"


def part_key(export_key: str, number: int) -> str:
    """Return the key of a part of the file that `export_key` names."""
    file = PurePosixPath(export_key)
    return f"{PARTS}/{file.parent.name}/{file.stem}/{number:05}{file.suffix}"


def manifest_key(tenant_id: uuid.UUID, export_id: uuid.UUID) -> str:
    return f"{MANIFESTS}/{tenant_id}/{export_id}.json"

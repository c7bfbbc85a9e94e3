"""Where finished files live: a folder or a bucket, chosen by `EXPORTS_STORAGE_URL`."""

import functools
import re
from pathlib import Path

from exports.errors import BadStorageUrl
from exports.object_store.base import ObjectStore, Part, StoredObject
from exports.object_store.file import FileStore

__all__ = ["ObjectStore", "Part", "StoredObject", "store_from_url"]

#: What S3 allows as the name of a bucket.
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)


@functools.cache
def store_from_url(url: str) -> ObjectStore:
    """
    Return the store that a URL names, without opening or asking anything.

    What follows `file://` is a path as it stands, with no escapes.

    :raises BadStorageUrl: if the URL names none.
    """
    scheme, _, rest = url.partition("://")
    match scheme:
        case "file" if Path(rest).is_absolute():
            return FileStore(Path(rest))
        case "file":
            raise BadStorageUrl("needs an absolute path, file:///so/there")
        case "s3" if BUCKET.fullmatch(rest):
            from exports.object_store.s3 import S3Store  # boto3 takes 20 MB and half a second.

            return S3Store(rest)
        case "s3":
            raise BadStorageUrl("names no bucket, or more than a bucket")
    raise BadStorageUrl("starts with neither file:// nor s3://")

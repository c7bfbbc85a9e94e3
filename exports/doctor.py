"""The check that finished exports can be stored, read and removed."""

from uuid import uuid4

from django.conf import settings

from exports.object_store import store_from_url
from jobs.doctor import Finding, Status

PROBE = b"Written by doctor; may be deleted.\n"


def storage_works() -> Finding:
    """Write a small object, ask for its size, remove it."""
    store = store_from_url(settings.EXPORTS_STORAGE_URL)
    key = f"doctor/{uuid4()}.csv"
    try:
        part = store.start_part(key, 1)
        part.write(PROBE)
        part.publish()
        size = store.size(key)
        store.delete(key)
    except Exception as error:  # Whatever a file system or boto3 raises.
        words = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        return Finding(Status.FAILED, words, "See EXPORTS_STORAGE_URL, and who may write there.")
    if size != len(PROBE):
        words = f"{len(PROBE)} bytes were written, {size} are there"
        return Finding(Status.FAILED, words, "See EXPORTS_STORAGE_URL.")
    return Finding(Status.OK, f"{settings.EXPORTS_STORAGE_URL} takes and gives")

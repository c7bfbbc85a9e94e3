"""Publishes an object whole or not at all, and measures it on the way."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator

from exports.object_store import ObjectStore, Part


class Measured:
    """Writes on, and knows the size and the SHA-256 of all that was written."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self.digest = hashlib.sha256()
        self.size_bytes = 0

    def write(self, data: bytes) -> None:
        self.part.write(data)
        self.digest.update(data)
        self.size_bytes += len(data)

    @property
    def sha256(self) -> str:
        return self.digest.hexdigest()


@contextlib.contextmanager
def published(
    store: ObjectStore, key: str, *, attempt: int, before_publish: Callable[[], None]
) -> Iterator[Measured]:
    """
    Publish what the block writes, unless it or `before_publish` raises.

    Stopped between `before_publish` and the publish, this attempt may be given up for dead: the
    next one removes its bytes first, so its publish fails when it wakes up.

    :raises Superseded: if a later attempt has begun.
    """
    part = store.start_part(key, attempt)
    try:
        yield Measured(part)
        before_publish()
        part.publish()
    except BaseException:
        with contextlib.suppress(Exception):  # What is left behind, the next attempt removes.
            part.discard()
        raise

"""What a place for finished files must be able to do, and which keys it accepts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol

from exports.errors import BadKey

#: Names joined by single slashes, then one suffix: nothing that means "up", "root" or "hidden".
KEY = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*\.[a-z0-9]+", re.ASCII)


@dataclass(frozen=True)
class StoredObject:
    """A finished file, as a listing shows it."""

    key: str
    modified_at: datetime
    size_bytes: int


class Part(Protocol):
    """The bytes of one attempt, which no reader can see before `publish`."""

    def write(self, data: bytes) -> None:
        """
        Append bytes; any size will do.

        :raises Superseded: if the store already knows that a later attempt has begun.
        """

    def publish(self) -> None:
        """
        Make the whole file visible under its key, in one step and durably.

        :raises Superseded: if a later attempt has begun; what it wrote is left alone.
        """

    def discard(self) -> None:
        """Forget the bytes. Safe at any time and any number of times; after `publish`, a no-op."""


class ObjectStore(Protocol):
    """Holds finished files by key. A key's content is replaced as a whole or not at all."""

    def start_part(self, key: str, number: int) -> Part:
        """
        Begin an attempt to write `key`, and remove the parts of all attempts before it.

        The removal is the fence: a predecessor that wakes up later has nothing to publish.
        Numbers rise with every attempt to write one key.

        :raises Superseded: if the store can see that a higher number has begun.
        """

    def open(self, key: str) -> BinaryIO:
        """:raises NoSuchObject: if nothing was published under this key."""

    def size(self, key: str) -> int:
        """:raises NoSuchObject: if nothing was published under this key."""

    def delete(self, key: str) -> None:
        """Delete the file. Idempotent."""

    def download(
        self, key: str, *, filename: str, content_type: str, seconds: int
    ) -> str | BinaryIO:
        """
        Return the URL of a signed link that expires after so many seconds, or the opened file.

        :raises NoSuchObject: if nothing was published under this key, where that is free to ask.
        """

    def check_is_there(self) -> None:
        """:raises StoreMissing: if the folder or bucket does not exist."""

    def list_objects(self, folder: str) -> Iterator[StoredObject]:
        """
        Yield the finished files whose keys start with `folder/`, one subfolder after the other.

        What no key can name was put there by somebody else, and is left out.
        """

    def sizes(self, folder: str) -> dict[str, int]:
        """
        Return the bytes of each finished file below `folder/`, by key: for who waits for an answer.

        A bucket that says nothing is given up after some 20 seconds; a network mount may hang.

        :raises StoreAway: if the store doesn't answer, or is not there.
        """

    def forget_folder(self, folder: str) -> None:
        """
        Forget a folder that holds no files any more, where folders are kept. Idempotent.

        Only for one that nobody publishes into again.
        """

    def remove_stale_parts(self, folder: str, *, before: datetime) -> int:
        """
        Remove the parts of such keys that nobody has written to since; return how many.

        An attempt that still wakes up is refused, as by its successor.
        """


def checked(key: str) -> str:
    """
    Return the key if it can only name a file inside the store.

    :raises BadKey: if it can't.
    """
    if not KEY.fullmatch(key):
        raise BadKey(key)
    return key

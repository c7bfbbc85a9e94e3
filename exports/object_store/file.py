"""Keeps finished files in a folder that the web processes and the workers share."""

import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from exports.errors import NoSuchObject, StoreAway, StoreMissing, Superseded
from exports.object_store.base import KEY, StoredObject, checked

#: Beside the files, so that `os.replace` stays within one file system; no key starts with a dot.
PARTS = ".parts"


class FilePart:
    """A file of its own under `.parts`, renamed into place when it is whole."""

    def __init__(self, path: Path, target: Path, key: str) -> None:
        self.path, self.target, self.key = path, target, key
        self.file = path.open("xb", buffering=0)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self.file.write(view) :]

    def publish(self) -> None:
        os.fsync(self.file.fileno())
        self.file.close()
        self.target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.replace(self.path, self.target)
        except FileNotFoundError:  # A later attempt unlinked it.
            raise Superseded(self.key) from None
        sync_folder(self.target.parent)

    def discard(self) -> None:
        self.file.close()
        self.path.unlink(missing_ok=True)


class FileStore:
    def __init__(self, root: Path) -> None:
        self.root = root

    def start_part(self, key: str, number: int) -> FilePart:
        target = self.root / checked(key)
        (self.root / PARTS).mkdir(parents=True, exist_ok=True)
        for older, path in self._parts(key):
            if older > number:
                raise Superseded(key)
            path.unlink(missing_ok=True)
        return FilePart(self.root / PARTS / f"{flat(key)}.{number}", target, key)

    def open(self, key: str) -> BinaryIO:
        with missing_is_no_such_object(key):
            return (self.root / checked(key)).open("rb")

    def size(self, key: str) -> int:
        with missing_is_no_such_object(key):
            return (self.root / checked(key)).stat().st_size

    def delete(self, key: str) -> None:
        (self.root / checked(key)).unlink(missing_ok=True)

    def download(self, key: str, *, filename: str, content_type: str, seconds: int) -> BinaryIO:
        return self.open(key)

    def check_is_there(self) -> None:
        if not self.root.is_dir():
            raise StoreMissing(str(self.root))

    def list_objects(self, folder: str) -> Iterator[StoredObject]:
        for within, folders, names in os.walk(self.root / folder, onerror=raise_unless_gone):
            folders.sort()
            place = Path(within).relative_to(self.root).as_posix()
            for key in (f"{place}/{name}" for name in sorted(names)):
                found = stat_of(self.root / key) if KEY.fullmatch(key) else None
                if found:
                    yield StoredObject(key, modified_at(found), found.st_size)

    def sizes(self, folder: str) -> dict[str, int]:
        try:
            self.check_is_there()  # One that isn't mounted must not look like an empty one.
            return {each.key: each.size_bytes for each in self.list_objects(folder)}
        except (OSError, StoreMissing) as error:
            raise StoreAway from error

    def forget_folder(self, folder: str) -> None:
        with contextlib.suppress(OSError):  # It isn't empty, or isn't there.
            (self.root / folder).rmdir()

    def remove_stale_parts(self, folder: str, *, before: datetime) -> int:
        removed = 0
        for path in (self.root / PARTS).glob(f"{flat(folder + '/')}*"):
            found = stat_of(path)
            if found and modified_at(found) < before:
                path.unlink(missing_ok=True)
                removed += 1
        return removed

    def _parts(self, key: str) -> Iterator[tuple[int, Path]]:
        for path in (self.root / PARTS).glob(f"{flat(key)}.*"):
            yield int(path.suffix[1:]), path


def flat(key: str) -> str:
    """Return the key as one file name. No two keys share one: `~` is in none of them."""
    return key.replace("/", "~")


def stat_of(path: Path) -> os.stat_result | None:
    """Return what the file system knows of a file, or None if it is gone by now."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def modified_at(found: os.stat_result) -> datetime:
    """Return when a file was last written to."""
    return datetime.fromtimestamp(found.st_mtime, UTC)


def raise_unless_gone(error: OSError) -> None:
    """A folder that can't be read must not look like an empty one."""
    if not isinstance(error, FileNotFoundError):
        raise error


@contextlib.contextmanager
def missing_is_no_such_object(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NoSuchObject(key) from None


def sync_folder(folder: Path) -> None:
    """Write the folder's entries to disk: without it, a power cut can undo a rename."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

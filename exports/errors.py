"""What can go wrong with an export, each error saying what to do next."""

import uuid
from collections.abc import Iterable, Sequence

#: Characters of what is said of a document's fields.
FAULTS_MAX = 1_000

#: Stretches of numbers that an error names: enough to see where, and short enough to be stored.
SPANS_MAX = 50


class ExportError(Exception):
    """Base of every error in this app. Catch a subclass, never this."""


class UnknownDataset(ExportError):
    """Nobody registered a dataset of this name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"There is no dataset {name!r}. Use one of: {listed(known)}.")


class UnknownFormat(ExportError):
    """No writer exists for this format."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"There is no format {name!r}. Use one of: {listed(known)}.")


class UnknownExport(ExportError):
    """There is no such export, or it belongs to another tenant."""

    def __init__(self, export_id: uuid.UUID) -> None:
        super().__init__(f"There is no export {export_id}.")


class NotCompleted(ExportError):
    """Only a completed export has a file."""

    def __init__(self, export_id: uuid.UUID, status: str) -> None:
        super().__init__(f"Export {export_id} is {status}; only a completed one has a file.")


class Superseded(ExportError):
    """A later attempt removed this one's part. Stop writing: the file belongs to the other."""

    def __init__(self, key: str) -> None:
        super().__init__(f"A later attempt has taken over {key}; this one publishes nothing.")


class NoSuchObject(ExportError):
    """The store holds nothing under this key: never published, or deleted since."""

    def __init__(self, key: str) -> None:
        super().__init__(f"The store holds no {key}. Request the export again.")


class StoreMissing(ExportError):
    """The folder or bucket itself isn't there: not mounted, deleted, or another one is meant."""

    def __init__(self, place: str) -> None:
        super().__init__(f"{place} is not there. Is EXPORTS_STORAGE_URL right, and is it mounted?")


class StoreAway(ExportError):
    """The store doesn't answer, or isn't there. What caused it says why: not for whoever asks."""

    def __init__(self) -> None:
        super().__init__("The store of the files can't be reached. Nothing was changed; try again.")


class StoreLooksWrong(ExportError):
    """So many files are missing that it must be another store. What had expired was deleted."""

    def __init__(self, missing: int, completed: int, expired: int) -> None:
        super().__init__(
            f"{missing} of {completed} completed exports have no file. "
            "Is EXPORTS_STORAGE_URL the store that they were written to, and is it mounted? "
            f"What had expired was deleted ({expired}); "
            "rows without a file, files without a row and old parts were left alone. "
            "Mend the store and run exports.delete_expired_files again; "
            "if the files are lost for good, their rows go as they expire."
        )


class PartDamaged(ExportError):
    """A part of an export was changed or deleted in the store since it was written."""

    def __init__(self, number: int, key: str, fault: str) -> None:
        self.number, self.key, self.fault = number, key, fault
        super().__init__(f"{key}: {fault}.")


class PartsDamaged(ExportError):
    """All the parts of an export that are damaged; its text is bounded, however many they are."""

    def __init__(self, damages: Sequence[PartDamaged]) -> None:
        self.keys = [each.key for each in damages]
        numbers: dict[str, list[int]] = {}
        for each in damages:
            numbers.setdefault(each.fault, []).append(each.number)
        named = "; ".join(f"{fault}: {spans(found)}" for fault, found in numbers.items())
        super().__init__(
            f"Damaged parts in {self.keys[0].rpartition('/')[0]}: {named}. Retry the export: "
            "these are written again, the others are kept."
        )


class ManifestDamaged(ExportError):
    """What lies where a manifest should be is none; it names each field that is at fault."""

    def __init__(self, key: str, faults: str) -> None:
        said = faults if faults.isprintable() else repr(faults)  # A name in it may be any text.
        super().__init__(
            f"{key} is no manifest: it was changed. Request the export again. {said[:FAULTS_MAX]}"
        )


class BadKey(ExportError):
    """A key that could leave the store's folder. A bug in the caller, never a user's doing."""

    def __init__(self, key: str) -> None:
        super().__init__(f"{key!r} is not a key: use names of letters, digits, '-' and '_'.")


class BadStorageUrl(ExportError, ValueError):
    """`EXPORTS_STORAGE_URL` names no store. It is not quoted: some put a bucket's keys into it."""

    def __init__(self, fault: str) -> None:
        super().__init__(
            f"EXPORTS_STORAGE_URL: {fault}. Example: EXPORTS_STORAGE_URL=s3://my-bucket"
        )


def listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "(none is registered)"


def spans(numbers: Sequence[int]) -> str:
    """Return rising numbers as "2, 5-7"; of very many, the first and how many there are."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][-1] + 1:
            found[-1][1:] = [number]
        else:
            found.append([number])
    texts = ["-".join(map(str, span)) for span in found]
    more = f" and others ({len(numbers)} in all)" if len(texts) > SPANS_MAX else ""
    return ", ".join(texts[:SPANS_MAX]) + more

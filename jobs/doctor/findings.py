"""What a check has found."""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    OK = "ok"
    WARNING = "warning"  #: Somebody should look; nothing stands still for it.
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """The answer of one check, in words, and what to do about it."""

    status: Status
    found: str
    remedy: str = ""
    seconds: float = 0.0  #: How long the check took; filled in by `examine`.

    @property
    def latency_ms(self) -> float:
        return round(self.seconds * 1_000, 3)


def ok(found: str) -> Finding:
    return Finding(Status.OK, found)


def warning(found: str, remedy: str) -> Finding:
    return Finding(Status.WARNING, found, remedy)


def failed(found: str, remedy: str) -> Finding:
    return Finding(Status.FAILED, found, remedy)

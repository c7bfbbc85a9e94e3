"""What a receiver answered, made safe to keep and to show."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import ceil

EXCERPT_MAX_CHARACTERS = 1_000
#: A longer wait than this is no wait that anybody meant: a year.
RETRY_AFTER_MOST_SECONDS = 31_536_000

#: PostgreSQL stores no NUL; terminals and browsers obey the others, bidirectional ones included.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_SECONDS = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True)
class Answer:
    """A receiver's answer, whatever it was."""

    status: int
    latency_ms: int  #: From the name server to the end of the answer.
    excerpt: str  #: The body's first 1,000 characters.
    retry_after_seconds: int | None  #: Positive; what the receiver asked for.
    fault: str = ""  #: Why it does not count though it came; goes on after "but".

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300 and not self.fault


def excerpt_of(body: bytes) -> str:
    """Return the first 1,000 characters as text that any database and page can hold."""
    head = body[: EXCERPT_MAX_CHARACTERS * 4].decode("utf-8", "replace").replace("\r\n", "\n")
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", head[:EXCERPT_MAX_CHARACTERS])


def header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    """Return the first header of this name, which is in small letters; empty without one."""
    values = (value for key, value in headers if key.lower() == name)
    return next(values, b"").decode("latin-1").strip()


def retry_after_seconds(text: str, *, now: datetime) -> int | None:
    """Read a Retry-After header, in seconds or as a date; None for what names no wait."""
    seconds = int(text) if _SECONDS.fullmatch(text) else _seconds_until(text, now)
    return min(seconds, RETRY_AFTER_MOST_SECONDS) if seconds > 0 else None


def _seconds_until(text: str, now: datetime) -> int:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return 0
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        return ceil((zoned - now).total_seconds())
    except OverflowError:
        return 0

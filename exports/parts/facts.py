"""What is known of a part once it is published: enough to find it again and to see damage."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class PartFacts:
    number: int  #: From 1, in the order of the file.
    key: str  #: Where it is in the object store.
    rows: int
    size_bytes: int
    sha256: str
    #: Its range, as `KeyRange` has it.
    after: str | None
    up_to: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "PartFacts":
        return cls(**value)

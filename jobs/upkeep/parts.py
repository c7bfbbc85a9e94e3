"""The parts of the nightly clean-up: job types that the apps register, each its own job."""

from pydantic import BaseModel

_parts: dict[str, None] = {}


class Nothing(BaseModel):
    """The payload of a part: none."""


def register_cleanup(task_type: str) -> None:
    """Let `daily_cleanup` start a job of this type, with an empty payload."""
    _parts[task_type] = None


def all_parts() -> list[str]:
    return sorted(_parts)

"""The parts of the nightly clean-up: job types that the apps register, each its own job."""

_parts: dict[str, None] = {}


def register_cleanup(task_type: str) -> None:
    """Let `daily_cleanup` start a job of this type, with an empty payload."""
    _parts[task_type] = None


def all_parts() -> list[str]:
    return sorted(_parts)

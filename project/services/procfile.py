"""Reads the Procfile: which processes the product is made of."""

from pathlib import Path

RELEASE = "release"  #: Runs to its end before the others start.


def read_procfile(path: Path) -> dict[str, str]:
    """Return the commands by the names of their processes, in the file's order."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    entries = [line.partition(":") for line in lines if line and not line.startswith("#")]
    return {name.strip(): command.strip() for name, _, command in entries}

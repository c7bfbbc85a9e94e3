"""How events are named: `<noun>.<past tense>`."""

import re
from typing import Any

from jobs.errors import EventRefused

#: As the columns are long.
NAME_MAX_CHARACTERS = 100

#: As in "invoice.line_item.added"; nothing that could be somebody's input.
_NAME = re.compile(r"[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)+")


def check_name(name: Any) -> str:
    """
    Return the name of an event.

    :raises EventRefused: if it is none, or too long.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise EventRefused(
            f"name: {name!r} is no `<noun>.<past tense>` in small letters, like export.completed."
        )
    if len(name) > NAME_MAX_CHARACTERS:
        raise EventRefused(f"name: {len(name)} characters are over {NAME_MAX_CHARACTERS}.")
    return name

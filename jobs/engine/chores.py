"""What the relay does now and then for others, who register it: some relay always runs."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from django.db import InterfaceError, OperationalError

from jobs import log_events


@dataclass
class Chore:
    name: str
    every_seconds: float
    do: Callable[[], object]
    next_at: float = 0.0


_chores: dict[str, Chore] = {}


def register(name: str, do: Callable[[], object], *, every_seconds: float) -> None:
    """Have something done about so often, by each relay; the same name replaces it."""
    _chores[name] = Chore(name, every_seconds, do)


def seconds_until_next() -> float:
    """Return how long the relay may sleep for their sake."""
    now = time.monotonic()
    return max(0.0, min((chore.next_at - now for chore in _chores.values()), default=math.inf))


def do_what_is_due() -> None:
    """
    Do each chore whose time has come. One that fails keeps none back, and comes again.

    :raises OperationalError: while the database is away, which the relay waits out.
    """
    for chore in list(_chores.values()):
        if time.monotonic() >= chore.next_at:
            chore.next_at = time.monotonic() + chore.every_seconds
            _do(chore)


def _do(chore: Chore) -> None:
    try:
        chore.do()
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        log_events.part_failed(chore.name, error)

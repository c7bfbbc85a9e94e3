"""Every check by its name, in the order in which a person would look."""

import dataclasses
import time
from collections.abc import Callable

from django.db import Error

from jobs.doctor import broker, daemons, database, schedules
from jobs.doctor.findings import Finding, failed
from jobs.engine.patience import drop_if_cut

Check = Callable[[], Finding]

#: Incidents are found by "health:failed:<name>", and that column is 64 characters long.
NAME_MAX_CHARACTERS = 50

_checks: dict[str, Check] = {
    "database": database.answers,
    "migrations": database.is_migrated,
    "broker": broker.answers,
    "topology": broker.has_topology,
    "consumers": broker.has_consumers,
    "relay": daemons.relay_lives,
    "relay_lag": daemons.relay_keeps_up,
    "beat": daemons.beat_ticks,
    "schedules": schedules.are_as_declared,
    "dead_letters": database.has_no_open_dead_letters,
}


def register(name: str, check: Check) -> None:
    """
    Add an app's own check; the same name replaces it.

    :raises ValueError: if the name is longer than NAME_MAX_CHARACTERS.
    """
    if len(name) > NAME_MAX_CHARACTERS:
        raise ValueError(f"{name!r}: a check's name has {NAME_MAX_CHARACTERS} characters at most.")
    _checks[name] = check


def examine() -> dict[str, Finding]:
    """
    Make every check; return what each has found, and how long that took.

    Raises nothing, whatever is away.

    May block for JOBS_BROKER_TIMEOUT_SECONDS at each of three looks at a broker that is away, and
    for minutes at a bucket that answers nothing.
    """
    return {name: _timed(check) for name, check in _checks.items()}


def _timed(check: Check) -> Finding:
    began = time.perf_counter()
    finding = _made(check)
    return dataclasses.replace(finding, seconds=time.perf_counter() - began)


def _made(check: Check) -> Finding:
    try:
        return check()
    except Error as error:
        return failed(
            f"The database is away: {_line(error)}", "Start PostgreSQL; see DATABASE_URL."
        )
    except Exception as error:
        drop_if_cut()  # A soft limit in the middle of a statement: the next check needs another.
        return failed(f"{type(error).__name__}: {_line(error)}", "See the log of this process.")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]

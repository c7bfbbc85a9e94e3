"""How the command line says which dead letters are meant."""

import re
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from jobs.dead_letters.matching import Matching
from jobs.states import DeadLetterState

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def seconds(text: str) -> int:
    """
    Return a duration: 90s, 30m, 12h or 7d.

    :raises ArgumentTypeError: for anything else.
    """
    match = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if not match:
        raise ArgumentTypeError(f"{text!r} is no duration; write 90s, 30m, 12h or 7d")
    return int(match[1]) * UNITS[match[2]]


def add_filters(parser: ArgumentParser) -> None:
    parser.add_argument("--type", default="", help="A job type, for example exports.export_data.")
    parser.add_argument("--queue", default="", help="The queue it died in.")
    parser.add_argument("--died-of", default="", help="rejected, expired, delivery_limit, ledger.")
    parser.add_argument("--tenant", default="", help="A tenant's id.")
    parser.add_argument("--error-type", default="", help="The error's class, for example OSError.")
    parser.add_argument("--incident", default="", help="An incident's id: see list --incidents.")
    parser.add_argument("--fingerprint", default="", help="An incident's fingerprint.")
    parser.add_argument("--older-than", type=seconds, metavar="TIME", help="90s, 30m, 12h, 7d.")
    parser.add_argument("--younger-than", type=seconds, metavar="TIME", help="As above.")


def add_state(parser: ArgumentParser) -> None:
    states = [*DeadLetterState.values, "all"]
    parser.add_argument("--state", choices=states, default=DeadLetterState.OPEN.value)


def matching_of(options: dict[str, Any]) -> Matching:
    """Return the filter that the options name; without a state the open ones are meant."""
    state = options.get("state") or DeadLetterState.OPEN
    return Matching(
        state="" if state == "all" else state,
        type=options["type"],
        queue=options["queue"],
        reason=options["died_of"],
        tenant_id=options["tenant"],
        error_type=options["error_type"],
        incident_id=options["incident"],
        fingerprint=options["fingerprint"],
        older_than_seconds=options["older_than"],
        younger_than_seconds=options["younger_than"],
    )

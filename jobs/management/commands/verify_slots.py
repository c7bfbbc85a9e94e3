"""`manage.py verify_slots`: proves that the ledger of slots has no gap and no double."""

import re
from argparse import ArgumentParser, ArgumentTypeError
from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandError

from jobs.database_clock import database_now
from jobs.management.arguments import moment
from jobs.management.base import Row, TableCommand
from jobs.schedules.verify import Proof, verify_slots

UNITS = {"m": "minutes", "h": "hours", "d": "days"}

#: How many of each kind are named one by one.
NAMED = 10


class Command(TableCommand):
    help = (
        "Compare the ledger of slots with the times that each schedule's definitions name; "
        "exit code 1 if one is missing, came twice, or is no slot at all."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--since", type=ago_or_moment, default="1d",
            help="30m, 12h, 7d, or a time with its zone; a day if left out.",
        )  # fmt: skip

    def handle(self, **options: Any) -> None:
        until = database_now()
        since = options["since"]
        since = until - since if isinstance(since, timedelta) else since
        proofs = verify_slots(since=since, until=until)
        rows = [row_of(proof) for proof in proofs]
        self.print_rows(rows, as_json=options["json"], nothing="No schedules.")
        broken = [proof.name for proof in proofs if not proof.holds]
        if broken:
            raise CommandError(f"The ledger does not hold: {', '.join(broken)}.")


def row_of(proof: Proof) -> Row:
    return {
        "schedule": proof.name,
        "slots": proof.nominal,
        "gaps": len(proof.gaps),
        "doubles": len(proof.doubles),
        "strangers": len(proof.strangers),
        "first": ", ".join(each.isoformat() for each in _faults(proof)[:NAMED]),
    }


def _faults(proof: Proof) -> list[datetime]:
    return [*proof.gaps, *proof.doubles, *proof.strangers]


def ago_or_moment(text: str) -> timedelta | datetime:
    """Read how long ago, or a time with its zone, for argparse."""
    short = re.fullmatch(r"(\d{1,6})([mhd])", text)
    if short:
        return timedelta(**{UNITS[short[2]]: int(short[1])})
    try:
        return moment(text)
    except ArgumentTypeError as error:
        raise ArgumentTypeError(f"neither 30m, 12h, 7d nor {str(error)[4:]}") from None

"""What the engine's commands share: clear failures, and tables for people and for programs."""

import getpass
import json
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import InterfaceError, OperationalError

from jobs.errors import BrokerUnreachable, JobError

Row = dict[str, Any]


class JobsCommand(BaseCommand):
    """A command that ends with one sentence and an exit code, whatever is away or refused."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except BrokerUnreachable as error:
            raise CommandError(f"The broker can't be reached: {error}") from error
        except JobError as error:
            raise CommandError(str(error)) from error
        except (OperationalError, InterfaceError) as error:
            raise CommandError(f"The database can't be reached: {error}") from error


class TableCommand(JobsCommand):
    """A command that prints rows: aligned for people, as JSON for programs."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="Print JSON instead of a table.")

    def print_rows(self, rows: Sequence[Row], *, as_json: bool, nothing: str) -> None:
        """Print the rows, all with the same keys; `nothing` is what to say of none."""
        if as_json:
            self.stdout.write(json.dumps(rows, cls=DjangoJSONEncoder, indent=2))
        else:
            self.stdout.write(as_table(rows) if rows else nothing)


def as_table(rows: Sequence[Row]) -> str:
    """Return the rows as aligned text under their keys; NULL and nothing are a dash."""
    lines = [tuple(rows[0]), *(tuple(map(_cell, row.values())) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _cell(value: Any) -> str:
    """Return one line of text; control characters of a payload or an error stay harmless."""
    text = "-" if value in (None, "") else str(value)
    return "".join(character if character.isprintable() else " " for character in text)


def command_user() -> str:
    """Return who runs the command, for what is kept of it."""
    return f"command:{getpass.getuser()}"


def refuse_embedded(instead: str) -> None:
    """:raises CommandError: in the embedded profile, whose queues live in one other process."""
    if settings.PROFILE == "embedded":
        raise CommandError(f"CELERY_BROKER_URL is not set: in the embedded profile {instead}")

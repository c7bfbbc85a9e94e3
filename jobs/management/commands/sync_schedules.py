"""`manage.py sync_schedules`: writes the cron table of the settings into the database."""

from argparse import ArgumentParser
from typing import Any

from jobs.management.base import TableCommand
from jobs.schedules.sync import sync_schedules


class Command(TableCommand):
    help = (
        "Write the cron table (JOBS_SCHEDULES) into the database. May run at every deploy: what "
        "an operator has changed or deleted stays so, unless --reset is given."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--reset", action="store_true", help="Take operators' changes back.")

    def handle(self, **options: Any) -> None:
        results = sync_schedules(reset=options["reset"])
        rows = [
            {"name": each.name, "result": each.what.value, "kept": ", ".join(each.kept)}
            for each in results
        ]
        self.print_rows(rows, as_json=options["json"], nothing="JOBS_SCHEDULES is empty.")

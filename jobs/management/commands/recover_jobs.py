"""`manage.py recover_jobs`: one look for jobs whose worker or message is gone."""

from argparse import ArgumentParser
from typing import Any

from jobs.engine.publisher import open_publisher
from jobs.engine.recovery import Sweeper
from jobs.management.base import TableCommand, refuse_embedded


class Command(TableCommand):
    help = (
        "Bring back jobs whose worker or message is gone, as the relay does every 30 seconds. "
        "A queue that is empty now proves nothing in one look, unless you say --now."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--now",
            action="store_true",
            help="The broker was wiped: believe at once that an empty queue has lost its messages.",
        )

    def handle(self, **options: Any) -> None:
        refuse_embedded("`manage.py up` recovers by itself, when it starts and as it runs.")
        publisher = open_publisher()
        try:
            put_back, copied, failed = Sweeper(publisher).sweep(trust_empty_lanes=options["now"])
        finally:
            publisher.close()
        row = {"put_back": put_back, "sent_again": copied, "failed": failed}
        self.print_rows([row], as_json=options["json"], nothing="")

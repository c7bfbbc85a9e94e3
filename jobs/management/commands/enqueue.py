"""`manage.py enqueue`: stores a job by hand."""

import json
import uuid
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from jobs import operations
from jobs.management.arguments import moment
from jobs.management.base import JobsCommand
from jobs.states import SYSTEM_TENANT


class Command(JobsCommand):
    help = "Store a job and print its id; the relay hands it to the broker."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("type", help="The job type, for example exports.export_data.")
        parser.add_argument(
            "payload", type=payload, nargs="?", default={}, help="A JSON object; {} if left out."
        )
        parser.add_argument(
            "--tenant", type=uuid.UUID, default=SYSTEM_TENANT, help="Its id; else the system's."
        )
        parser.add_argument("--user", type=uuid.UUID, help="The id of whom the job works for.")
        parser.add_argument("--key", help="At most one live job of tenant and type has it.")
        parser.add_argument("--run-at", type=moment, help="Not before: 2026-01-31T09:00:00Z.")

    def handle(self, **options: Any) -> None:
        job = operations.enqueue(
            options["type"],
            options["payload"],
            tenant_id=uuid.UUID(str(options["tenant"])),
            user_id=options["user"],
            key=options["key"],
            run_at=options["run_at"],
        )
        self.stdout.write(str(job.pk))


def payload(text: str) -> dict[str, Any]:
    """Read the payload's JSON, for argparse."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ArgumentTypeError(f"not JSON ({error}): {text}") from error
    if not isinstance(value, dict):
        raise ArgumentTypeError(f'not a JSON object, such as {{"report_id": 7}}: {text}')
    return value

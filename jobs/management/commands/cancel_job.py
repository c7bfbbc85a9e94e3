"""`manage.py cancel_job`: cancels live jobs."""

import uuid
from argparse import ArgumentParser
from typing import Any

from jobs import operations
from jobs.management.base import JobsCommand


class Command(JobsCommand):
    help = "Cancel a live job. A running attempt learns it at its next sign of life."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("job_id", type=uuid.UUID)

    def handle(self, *, job_id: uuid.UUID, **options: Any) -> None:
        job = operations.cancel_job(job_id=job_id, by="manage.py cancel_job")
        self.stdout.write(f"{job.pk} cancelled")

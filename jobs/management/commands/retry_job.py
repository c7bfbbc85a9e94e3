"""`manage.py retry_job`: runs a settled job again, as a new one."""

import uuid
from argparse import ArgumentParser
from typing import Any

from jobs import operations
from jobs.management.base import JobsCommand


class Command(JobsCommand):
    help = "Run a failed or cancelled job again, as a new job; print the new one's id."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("job_id", type=uuid.UUID)

    def handle(self, *, job_id: uuid.UUID, **options: Any) -> None:
        job = operations.replay_job(job_id=job_id, by="manage.py retry_job")
        self.stdout.write(str(job.pk))

"""`manage.py list_jobs`: prints the newest jobs."""

import uuid
from argparse import ArgumentParser
from typing import Any

from jobs import queries
from jobs.management.base import Row, TableCommand
from jobs.models import Job
from jobs.states import JobState


class Command(TableCommand):
    help = "Print jobs, newest first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--state", choices=JobState.values)
        parser.add_argument("--type", help="A job type, for example exports.export_data.")
        parser.add_argument("--tenant", type=uuid.UUID, help="A tenant's id.")
        parser.add_argument("--before", type=uuid.UUID, help="Older than the job with this id.")
        parser.add_argument("--limit", type=int, default=50, help="How many (50).")

    def handle(self, **options: Any) -> None:
        jobs = queries.list_jobs(
            tenant_id=options["tenant"],
            state=options["state"],
            job_type=options["type"],
            before=options["before"],
            limit=max(options["limit"], 1),
        )
        rows = [row_of(job, whole=options["json"]) for job in jobs]
        self.print_rows(rows, as_json=options["json"], nothing="No jobs.")


def row_of(job: Job, *, whole: bool) -> Row:
    """Return what to print of a job; for people the error is cut and times are to the second."""
    return {
        "id": job.pk,
        "type": job.type,
        "tenant_id": job.tenant_id,
        "state": job.state,
        "attempts": job.attempts,
        "losses": job.losses,
        "created_at": job.created_at if whole else f"{job.created_at:%Y-%m-%d %H:%M:%S}",
        "error": job.error if whole else job.error[:60],
    }

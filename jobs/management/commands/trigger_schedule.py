"""`manage.py trigger_schedule`: runs a schedule now, as its clock would."""

import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from jobs.management.arguments import moment
from jobs.management.base import Row, TableCommand, command_user
from jobs.models import Job, Slot
from jobs.schedules.operations import trigger_matching
from jobs.states import JobState

#: How often --wait looks.
LOOK_SECONDS = 0.2


class Command(TableCommand):
    help = (
        "Run a schedule now, by its name or its cron pattern; its jobs are worked by the workers "
        "(embedded: by manage.py up)."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("schedule", help='Its name, or its pattern: "*/5 * * * *".')
        parser.add_argument(
            "--at", type=moment,
            help="Pretend this moment: 2026-01-31T00:00:00Z. One to come needs DEBUG.",
        )  # fmt: skip
        parser.add_argument(
            "--wait", type=float, metavar="SECONDS",
            help="Wait until its jobs have settled; exit code 1 if one failed, or after this time.",
        )  # fmt: skip

    def handle(self, **options: Any) -> None:
        slots = trigger_matching(wanted=options["schedule"], by=command_user(), at=options["at"])
        late = options["wait"] is not None and not _all_settled(slots, options["wait"])
        jobs = _jobs(slots)
        rows = [row_of(job) for job in jobs]
        self.print_rows(rows, as_json=options["json"], nothing="No jobs.")
        if late:
            raise CommandError(f"Not settled within {options['wait']:g} s. Does a worker run?")
        failed = [job.type for job in jobs if job.state in (JobState.FAILED, JobState.CANCELLED)]
        if failed:
            raise CommandError(f"Not succeeded: {', '.join(failed)}.")


def row_of(job: Job) -> Row:
    return {
        "schedule": job.slot.schedule_name if job.slot else "",
        "job_id": job.pk,
        "type": job.type,
        "state": job.state,
        "error": job.error,
    }


def _jobs(slots: list[Slot]) -> list[Job]:
    """Return the schedules' jobs, and those that these have enqueued."""
    return list(Job.objects.filter(slot__in=slots).select_related("slot").order_by("pk"))


def _all_settled(slots: list[Slot], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(not job.is_settled for job in _jobs(slots)):
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_SECONDS)
    return True

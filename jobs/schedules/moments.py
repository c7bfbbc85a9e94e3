"""For which moment a scheduled job works."""

from datetime import datetime

from django.utils import timezone

from jobs.models import Job


def moment_of(job: Job) -> datetime:
    """
    Return the nominal time of the job's slot, or the present where it was enqueued without one.

    A slot that is caught up hours later still works for its own time, and `trigger_schedule --at`
    pretends one.
    """
    slot = Job.objects.filter(pk=job.pk).values_list("slot__at", flat=True).first()
    return slot or timezone.now()

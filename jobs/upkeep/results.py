"""Deletes the results that plain Celery tasks left; jobs leave none."""

from datetime import datetime, timedelta

from django.conf import settings
from django_celery_results.models import GroupResult, TaskResult

from jobs.upkeep import log_events
from jobs.upkeep.batches import delete_in_batches


def delete_expired_results(*, now: datetime) -> int:
    """Delete results of tasks and groups older than JOBS_RESULTS_KEEP_DAYS; return how many."""
    before = now - timedelta(days=settings.JOBS_RESULTS_KEEP_DAYS)
    rows = sum(
        delete_in_batches(model.objects.filter(date_done__lt=before), by="date_done")
        for model in (TaskResult, GroupResult)
    )
    log_events.deleted("results", rows, before=before)
    return rows

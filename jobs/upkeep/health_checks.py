"""Deletes the history of health checks."""

from datetime import datetime, timedelta

from django.conf import settings

from jobs.models import HealthCheck
from jobs.upkeep import log_events
from jobs.upkeep.batches import delete_in_batches


def delete_expired_checks(*, now: datetime) -> int:
    """Delete checks older than JOBS_HEALTH_KEEP_DAYS; return how many."""
    before = now - timedelta(days=settings.JOBS_HEALTH_KEEP_DAYS)
    rows = delete_in_batches(HealthCheck.objects.filter(at__lt=before), by="at")
    log_events.deleted("health checks", rows, before=before)
    return rows

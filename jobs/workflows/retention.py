"""Deletes workflows that ended long ago, with their steps and history."""

from datetime import datetime, timedelta

from django.conf import settings

from jobs.models import Workflow
from jobs.upkeep import log_events
from jobs.upkeep.batches import act_in_batches

#: Each takes its steps and history with it.
BATCH_WORKFLOWS = 100


def delete_expired_workflows(*, now: datetime) -> int:
    """Delete what ended over JOBS_WORKFLOWS_KEEP_DAYS ago; return how many."""
    before = now - timedelta(days=settings.JOBS_WORKFLOWS_KEEP_DAYS)
    ended = Workflow.objects.filter(ended_at__lt=before)
    rows = act_in_batches(ended, lambda batch: batch.delete(), by="ended_at", size=BATCH_WORKFLOWS)
    log_events.deleted("workflows", rows, before=before)
    return rows

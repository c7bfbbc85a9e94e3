"""Deletes dead letters that somebody dealt with long ago, in batches that nobody waits for."""

from collections import Counter
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F

from jobs import log_events
from jobs.models import DeadLetter, Incident
from jobs.states import DeadLetterState

BATCH_ROWS = 1_000


def delete_old_dead_letters(*, now: datetime) -> int:
    """
    Delete what was dealt with and is older than JOBS_DEAD_LETTERS_KEEP_DAYS; return how many.

    Open ones stay for ever. Safe when run twice, at the same time, or killed midway.
    """
    before = now - timedelta(days=settings.JOBS_DEAD_LETTERS_KEEP_DAYS)
    deleted = 0
    while batch := _delete_batch(before):
        deleted += batch
    log_events.dead_letters_deleted(deleted)
    return deleted


def _delete_batch(before: datetime) -> int:
    """
    Delete one batch in a short transaction, and let its incidents remember how many it was.

    Losing the race for a row means that another process deletes it.
    """
    done = DeadLetter.objects.exclude(state=DeadLetterState.OPEN)
    old = done.filter(recorded_at__lt=before).order_by("recorded_at")
    with transaction.atomic():
        rows = list(
            old.select_for_update(skip_locked=True, of=("self",)).only("pk", "incident")[
                :BATCH_ROWS
            ]
        )
        counts = Counter(row.incident_id for row in rows if row.incident_id)
        for incident in sorted(counts):
            deleted = F("past_count") + counts[incident]
            Incident.objects.filter(pk=incident).update(past_count=deleted)
        DeadLetter.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)

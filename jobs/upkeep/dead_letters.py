"""Deletes dead letters that somebody dealt with long ago."""

from collections import Counter
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import F, Q, QuerySet

from jobs.models import DeadLetter, Incident
from jobs.states import DeadLetterState
from jobs.upkeep import log_events
from jobs.upkeep.batches import act_in_batches

BATCH_ROWS = 1_000


def delete_old_dead_letters(*, now: datetime) -> int:
    """
    Delete what came, and was dealt with, over JOBS_DEAD_LETTERS_KEEP_DAYS ago; return how many.

    Open ones stay for ever. One that was replayed lately stays too, however old: a bulk replay
    looks at its canary, and counts what fails again, through the letters.
    """
    before = now - timedelta(days=settings.JOBS_DEAD_LETTERS_KEEP_DAYS)
    rows = act_in_batches(_done_with(before), _delete, by="recorded_at", size=BATCH_ROWS)
    log_events.deleted("dead letters", rows, before=before)
    return rows


def _done_with(before: datetime) -> QuerySet[DeadLetter]:
    done = DeadLetter.objects.exclude(state=DeadLetterState.OPEN)
    # Superseded ones were handled by nobody.
    handled = Q(handled_at=None) | Q(handled_at__lt=before)
    return done.filter(handled, recorded_at__lt=before)


def _delete(letters: QuerySet[DeadLetter]) -> None:
    """Delete locked letters, and let their incidents remember how many there were."""
    counts = Counter(letters.exclude(incident=None).values_list("incident_id", flat=True))
    for incident in sorted(counts):  # One order for all: two clean-ups don't deadlock.
        deleted = F("past_count") + counts[incident]
        Incident.objects.filter(pk=incident).update(past_count=deleted)
    letters.delete()

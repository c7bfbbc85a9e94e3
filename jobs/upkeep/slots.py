"""Deletes old slots of schedules, and the definitions that no slot follows any more."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from jobs.models import ScheduleRevision, Slot
from jobs.states import SlotOutcome
from jobs.upkeep import log_events
from jobs.upkeep.batches import delete_in_batches


def delete_expired_slots(*, now: datetime) -> int:
    """
    Delete slots older than JOBS_SLOTS_KEEP_DAYS, and what their schedules were; return how many.

    One that waits stays, however old: it is to run. So does the definition in force at the
    horizon, which the oldest slot that is kept follows.
    """
    before = now - timedelta(days=settings.JOBS_SLOTS_KEEP_DAYS)
    old = Slot.objects.filter(at__lt=before).exclude(outcome=SlotOutcome.WAITING)
    # A run by hand may pretend a time long past: its age is that of the run itself.
    by_hand = old.exclude(asked_by="").filter(decided_at__lt=before)
    slots = delete_in_batches(old.filter(asked_by=""), by="at")
    slots += delete_in_batches(by_hand, by="at")
    log_events.deleted("slots", slots, before=before)
    revisions = delete_in_batches(_superseded(before))
    log_events.deleted("schedule revisions", revisions, before=before)
    return slots + revisions


def _superseded(before: datetime) -> QuerySet[ScheduleRevision]:
    """
    Return the revisions that a newer one has replaced at that moment or earlier.

    Nobody loses a race here: a revision once superseded stays so.
    """
    past = ScheduleRevision.objects.filter(from_at__lte=before)
    later = Q(from_at__gt=OuterRef("from_at")) | Q(
        from_at=OuterRef("from_at"), pk__gt=OuterRef("pk")
    )
    return past.filter(Exists(past.filter(later, schedule=OuterRef("schedule"))))

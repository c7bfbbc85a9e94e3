"""Sends the dead letters that are missing: of failed jobs whose message is gone, or never was."""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from jobs import log_events
from jobs.engine import message
from jobs.engine.publisher import Publisher, Unconfirmed
from jobs.models import Job
from jobs.states import JobState

#: Dead letters sent in one turn of the relay.
DEAD_LETTERS_PER_TURN = 500


def send_missing_dead_letters(publisher: Publisher) -> int:
    """
    Send the dead letter of each failed job that has none although it is due; return how many.

    Sent again every JOBS_DEAD_LETTER_AFTER_SECONDS until it is stored, which happens once
    however often it arrives.

    :raises Unconfirmed: when the broker is away; what it did not confirm is due again at once.
    """
    jobs = _take_due()
    if not jobs:
        return 0
    try:
        unsent = list(publisher.send([message.from_dead(job) for job in jobs]))
    except Unconfirmed as error:
        _due_now(error.unconfirmed)
        raise
    if unsent:
        _due_now(unsent)
    log_events.dead_letters_sent(len(jobs) - len(unsent))
    return len(jobs) - len(unsent)


def _take_due() -> list[Job]:
    """
    Postpone what is due, and return it.

    Losing the race for a row means that another relay sends it. A relay that dies now has
    postponed them by five minutes.
    """
    missing = Job.objects.filter(
        state=JobState.FAILED, dead_lettered_at=None, dead_letter_due_at__lte=Now()
    )
    with transaction.atomic():
        due = missing.select_for_update(skip_locked=True, no_key=True)
        jobs = list(due.order_by("dead_letter_due_at")[:DEAD_LETTERS_PER_TURN])
        after = timedelta(seconds=settings.JOBS_DEAD_LETTER_AFTER_SECONDS)
        _postpone([str(job.pk) for job in jobs], after)
    return jobs


def _due_now(ids: list[str]) -> None:
    _postpone(ids, timedelta(0))


def _postpone(ids: list[str], by: timedelta) -> None:
    """No fence: losing means that it was stored meanwhile, and the time means nothing then."""
    Job.objects.filter(pk__in=ids).update(dead_letter_due_at=Now() + by)

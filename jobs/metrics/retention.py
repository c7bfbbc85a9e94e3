"""Deletes events of days long past, whose counts stand for ever."""

from datetime import UTC, date, datetime, timedelta

from django.conf import settings

from jobs.metrics import log_events
from jobs.metrics.aggregate import count_events
from jobs.metrics.state import locked_state, open_from
from jobs.models import Event
from jobs.upkeep.batches import delete_in_batches

#: Today and yesterday stay open whatever moment is pretended: their events still come.
OPEN_DAYS = 1


def delete_expired_events(moment: datetime) -> int:
    """
    Delete the events of days (UTC) over JOBS_EVENTS_KEEP_DAYS before `moment`; return how many.

    Their days are counted a last time and closed before. Safe when run twice, at the same
    time, or killed midway: what is left goes with the next run.
    """
    boundary = _close_days(moment)
    old = Event.objects.filter(occurred_at__lt=boundary)
    deleted = delete_in_batches(old, by="occurred_at")
    log_events.expired_deleted(deleted)
    return deleted


def _close_days(moment: datetime) -> datetime:
    """
    Count, then close the days, in one transaction under the aggregate's lock.

    So no aggregate ever counts a day that events are missing of. A day once closed stays so,
    even where the setting was raised since: its events may be gone.
    """
    with locked_state() as state:
        before = _first_day_to_keep(moment, state.now)
        if state.closed_before is None or before > state.closed_before:
            count_events(state, now=state.now)
            state.closed_before = before
            state.save(update_fields=["closed_before"])
            log_events.days_closed(before)
        return open_from(state)


def _first_day_to_keep(moment: datetime, now: datetime) -> date:
    kept = timedelta(days=settings.JOBS_EVENTS_KEEP_DAYS)
    wanted = moment.astimezone(UTC).date() - kept
    return min(wanted, now.astimezone(UTC).date() - timedelta(days=OPEN_DAYS))

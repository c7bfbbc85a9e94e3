"""
Stops trying an endpoint that is down: a circuit breaker in the database, for all workers alike.

Closed, it counts failures in a row; at NOTIFICATIONS_BREAKER_FAILURES it opens, and the relay holds
the endpoint's jobs back. Half open, once that time is over, one delivery tries: its success closes
the breaker, its failure opens it for twice as long.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Now

from jobs.database_clock import database_now
from jobs.errors import NotNow
from jobs.holds import hold_partition, release_partition
from notifications import log_events
from notifications.models import WebhookEndpoint

#: The type whose jobs are held; it limits how many of an endpoint are under way.
SYNC = "notifications.sync_external"

#: What a delivery that tries may take beside its deadline before another one may try.
PROBE_MARGIN_SECONDS = 5

#: A job that the breaker turns away waits behind the hold of its partition, not by itself: so it
#: goes at once when somebody closes the breaker.
TURNED_AWAY_SECONDS = 1

#: More doublings than could matter.
DOUBLINGS_MAX = 20

CLOSED: dict[str, Any] = {
    "failures_in_a_row": 0, "failing_since": None, "openings": 0, "open_until": None,
}  # fmt: skip


def partition_of(endpoint_id: uuid.UUID) -> str:
    """Return the partition of an endpoint's jobs, as `sync_external` declares it."""
    return f"{SYNC}/{endpoint_id}"


def take_turn(endpoint: WebhookEndpoint) -> datetime | None:
    """
    Let a delivery be tried. None: as usual. A moment: it is the one that tries whether it works.

    :raises NotNow: while the breaker is open, or another delivery tries.
    """
    if endpoint.open_until is None:
        return None
    remaining = (endpoint.open_until - database_now()).total_seconds()
    if remaining > 0:
        raise NotNow("the breaker of its endpoint is open", seconds=TURNED_AWAY_SECONDS)
    seconds = settings.NOTIFICATIONS_DELIVERY_SECONDS + PROBE_MARGIN_SECONDS
    half_open = WebhookEndpoint.objects.filter(pk=endpoint.pk, open_until=endpoint.open_until)
    # Losing the race means that another delivery is the one to try.
    if not half_open.update(open_until=Now() + timedelta(seconds=seconds)):
        why = "another delivery tries whether its endpoint works"
        raise NotNow(why, seconds=TURNED_AWAY_SECONDS)
    hold_partition(partition_of(endpoint.pk), seconds=seconds, reason="half open")
    return WebhookEndpoint.objects.values_list("open_until", flat=True).get(pk=endpoint.pk)


def count_success(endpoint_id: uuid.UUID) -> None:
    """Close it. Where it is closed and nothing was counted, no row is written."""
    close(endpoint_id)


def close(endpoint_id: uuid.UUID) -> bool:
    """
    Forget the failures and let what is held go out now; return whether there was anything to.

    The next failures are counted from nought: an endpoint that is still down opens it again.
    """
    stained = Q(failures_in_a_row__gt=0) | Q(openings__gt=0) | Q(open_until__isnull=False)
    closed = WebhookEndpoint.objects.filter(stained, pk=endpoint_id).update(**CLOSED)
    if closed:
        release_partition(partition_of(endpoint_id))
    return bool(closed)


def count_failure(endpoint_id: uuid.UUID, *, probe: datetime | None) -> None:
    """
    Count a failed attempt, and open the breaker if that was one too many.

    `probe` is what `take_turn` returned: the failure of the one that tried opens it again.
    """
    rows = WebhookEndpoint.objects.filter(pk=endpoint_id)
    rows.update(
        failures_in_a_row=F("failures_in_a_row") + 1, failing_since=Coalesce("failing_since", Now())
    )
    endpoint = rows.first()
    if endpoint is None:
        return  # Deleted meanwhile.
    if probe:
        due = rows.filter(open_until=probe)  # Losing means that its time was over: another tries.
    else:
        # Losing the race to open it means that another failure did.
        due = rows.filter(
            open_until=None, failures_in_a_row__gte=settings.NOTIFICATIONS_BREAKER_FAILURES
        )
    seconds = _seconds(endpoint.openings)
    until = Now() + timedelta(seconds=seconds)
    if due.update(open_until=until, openings=F("openings") + 1):
        hold_partition(partition_of(endpoint_id), seconds=seconds, reason="its breaker is open")
        log_events.breaker_opened(endpoint, seconds)


def has_failed_for_days(endpoint_id: uuid.UUID) -> bool:
    """
    Tell whether it has failed for NOTIFICATIONS_DISABLE_AFTER_DAYS, all the time.

    That is: no success since, and its breaker opened as often as by one delivery a day with all its
    attempts. Each opening follows a wait, so that two failures with quiet days between them, or
    many within an hour, are too few.
    """
    days = settings.NOTIFICATIONS_DISABLE_AFTER_DAYS
    return WebhookEndpoint.objects.filter(
        pk=endpoint_id,
        failing_since__lt=Now() - timedelta(days=days),
        openings__gte=days * (1 + settings.JOBS_RETRIES_MAX),
    ).exists()


def _seconds(openings: int) -> int:
    doubled = settings.NOTIFICATIONS_BREAKER_SECONDS * 2 ** min(openings, DOUBLINGS_MAX)
    return int(min(doubled, settings.NOTIFICATIONS_BREAKER_MAX_SECONDS))

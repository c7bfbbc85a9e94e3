"""Events for tests, their counts by plain arithmetic, and the counts that the product has."""

import uuid
from collections import Counter
from datetime import UTC, date, datetime, timedelta

from jobs import record_event
from jobs.metrics.aggregate import aggregate_events
from jobs.models import DailyMetric, Event
from tests.drills import ACME

NAME = "report.viewed"
DAY = date(2026, 3, 10)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)

Group = tuple[uuid.UUID, str, date]


def happen(
    times: int = 1, *, name: str = NAME, tenant_id: uuid.UUID = ACME, at: datetime = NOON
) -> None:
    for _ in range(times):
        record_event(name, tenant_id=tenant_id, occurred_at=at)


def counts() -> dict[Group, int]:
    """Return what the aggregate has written."""
    rows = DailyMetric.objects.values_list("tenant_id", "name", "day", "count")
    return {(tenant, name, day): count for tenant, name, day, count in rows}


def true_counts() -> dict[Group, int]:
    """Return the same, counted here from every event."""
    rows = Event.objects.values_list("tenant_id", "name", "occurred_at")
    return dict(Counter((tenant, name, at.astimezone(UTC).date()) for tenant, name, at in rows))


def count_of(name: str = NAME, tenant_id: uuid.UUID = ACME, day: date = DAY) -> int:
    return counts().get((tenant_id, name, day), 0)


def make_history(days: int = 10) -> None:
    """Count a few groups, so that one touched is few of them; forget when they were recorded."""
    for ago in range(days):
        happen(at=NOON - timedelta(days=30 + ago), name="history.made")
    aggregate_events()
    age_records()


def age_records(by: timedelta = timedelta(days=1)) -> None:
    """Let what was recorded have been so long ago that the overlap does not reach it."""
    for event in Event.objects.all():
        Event.objects.filter(pk=event.pk).update(recorded_at=event.recorded_at - by)

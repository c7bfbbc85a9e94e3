"""
Events and their counts on SQLite, where the embedded profile keeps them.

A run on PostgreSQL leaves this module out; tests/integration/test_on_sqlite.py runs it then.
"""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from jobs import record_event
from jobs.metrics.aggregate import aggregate_events
from jobs.metrics.retention import delete_expired_events
from jobs.models import Event
from tests.drills import GLOBEX, on_postgres
from tests.events import NOON, count_of, counts, happen, make_history, true_counts

if on_postgres():
    pytest.skip("tests/integration/test_on_sqlite.py runs it", allow_module_level=True)

pytestmark = pytest.mark.django_db


class TestAggregate:
    def test_counts_all_at_first_and_then_what_was_touched(self):
        make_history()
        happen(3)

        first, again = aggregate_events(), aggregate_events()

        assert (first.full, first.changed) == (False, 1)
        assert (again.full, again.changed) == (False, 0)
        assert counts() == true_counts()

    def test_includes_late_events(self):
        make_history()
        happen(3)
        aggregate_events()

        happen(2, at=NOON - timedelta(hours=7))
        aggregate_events()

        assert count_of() == 5

    def test_parts_days_at_midnight_utc_and_tenants(self):
        make_history()
        for moment in ("23:59:59.999999", "00:00:00", "12:00:00"):
            happen(at=datetime.fromisoformat(f"2026-03-10 {moment}+00:00"))
            happen(at=datetime.fromisoformat(f"2026-03-10 {moment}+05:00"), tenant_id=GLOBEX)
        aggregate_events()

        assert counts() == true_counts()
        assert count_of() == 3

    def test_counts_what_has_no_time_of_its_own_today(self):
        record_event("user.signed_in")
        aggregate_events()

        assert counts() == true_counts()
        [(_, _, day)] = counts()
        assert day == timezone.now().astimezone(UTC).date()


class TestExpiry:
    def test_deletes_events_and_lets_their_counts_stand(self, settings):
        settings.JOBS_EVENTS_KEEP_DAYS = 30
        now = timezone.now()
        happen(4, at=now - timedelta(days=40))
        happen(2, at=now - timedelta(days=3))

        deleted = delete_expired_events(now)
        aggregate_events()

        assert (deleted, Event.objects.count()) == (4, 2)
        assert sorted(counts().values()) == [2, 4]

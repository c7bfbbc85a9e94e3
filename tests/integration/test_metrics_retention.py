"""Events are deleted when they are old; their counts stand, whatever comes later."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from jobs import enqueue
from jobs.metrics.aggregate import aggregate_events
from jobs.metrics.retention import delete_expired_events
from jobs.models import Event, MetricsState
from jobs.states import JobState
from jobs.testing import run_enqueued_jobs
from jobs.upkeep import batches
from jobs.upkeep.parts import all_parts
from tests.events import count_of, counts, happen

pytestmark = pytest.mark.django_db

#: The clean-up of this moment keeps 30 days: the first that is kept is March 10.
NIGHT = datetime(2026, 4, 9, 0, 0, tzinfo=UTC)
FIRST_KEPT = datetime(2026, 3, 10, tzinfo=UTC)
LAST_EXPIRED = FIRST_KEPT - timedelta(microseconds=1)


@pytest.fixture(autouse=True)
def keep_30_days(settings):
    settings.JOBS_EVENTS_KEEP_DAYS = 30


class TestDeleteExpiredEvents:
    def test_deletes_whole_days_by_utc(self):
        happen(2, at=LAST_EXPIRED)
        happen(3, at=FIRST_KEPT)

        assert delete_expired_events(NIGHT) == 2

        assert set(Event.objects.values_list("occurred_at", flat=True)) == {FIRST_KEPT}

    def test_counts_before_it_deletes(self):
        happen(2, at=LAST_EXPIRED)

        delete_expired_events(NIGHT)

        assert count_of(day=LAST_EXPIRED.date()) == 2

    def test_deletes_in_batches(self, monkeypatch):
        monkeypatch.setattr(batches, "BATCH_ROWS", 3)
        happen(10, at=LAST_EXPIRED)

        assert delete_expired_events(NIGHT) == 10
        assert delete_expired_events(NIGHT) == 0

    def test_goes_on_where_a_killed_one_stopped(self):
        happen(2, at=LAST_EXPIRED)
        delete_expired_events(NIGHT)
        happen(1, at=LAST_EXPIRED)  # As if it had not been reached.

        assert delete_expired_events(NIGHT) == 1

    def test_is_a_part_of_the_nightly_clean_up(self):
        assert "metrics.delete_expired_events" in all_parts()
        happen(at=timezone.now() - timedelta(days=40))
        enqueue("metrics.delete_expired_events")

        [job] = run_enqueued_jobs()

        assert (job.state, Event.objects.count()) == (JobState.SUCCEEDED, 0)


class TestAClosedDay:
    @pytest.mark.parametrize("full", [True, False])
    def test_keeps_its_count(self, full):
        happen(5, at=LAST_EXPIRED)
        happen(1, at=FIRST_KEPT)
        delete_expired_events(NIGHT)
        if full:
            MetricsState.objects.update(watermark=None)

        # When an event comes for it, long after
        happen(1, at=LAST_EXPIRED)
        aggregate_events()

        assert count_of(day=LAST_EXPIRED.date()) == 5

    def test_stays_closed_when_more_is_kept_later(self, settings):
        happen(5, at=LAST_EXPIRED)
        delete_expired_events(NIGHT)
        settings.JOBS_EVENTS_KEEP_DAYS = 400

        delete_expired_events(NIGHT)

        assert MetricsState.objects.get().closed_before == FIRST_KEPT.date()

    def test_is_never_today_or_yesterday_whatever_moment_is_pretended(self):
        now = timezone.now()
        happen(2, at=now)
        happen(3, at=now - timedelta(days=1))

        delete_expired_events(now + timedelta(days=10_000))
        happen(1, at=now)
        aggregate_events()

        assert sorted(counts().values()) == [3, 3]

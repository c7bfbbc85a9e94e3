"""Events, from `record_event` to their daily counts: however they come, the counts are the same."""

import random
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from django.db import connection, transaction
from django.utils import timezone as django_timezone

from jobs import enqueue, record_event
from jobs.errors import EventRefused
from jobs.metrics import aggregate
from jobs.metrics.aggregate import aggregate_events
from jobs.models import DailyMetric, Event, MetricsState
from jobs.states import SYSTEM_TENANT, JobState
from jobs.testing import run_enqueued_jobs
from tests.drills import ACME, GLOBEX
from tests.events import (
    NAME,
    NOON,
    age_records,
    count_of,
    counts,
    happen,
    make_history,
    true_counts,
)

pytestmark = pytest.mark.django_db


class TestRecordEvent:
    def test_is_one_insert(self, django_assert_num_queries):
        with django_assert_num_queries(1):
            record_event("user.signed_in", tenant_id=ACME)

    def test_happens_now_and_to_the_system_unless_told_otherwise(self):
        event = record_event("user.signed_in")
        stored = Event.objects.get(pk=event.pk)
        assert str(stored.tenant_id) == SYSTEM_TENANT
        assert abs(stored.occurred_at - django_timezone.now()) < timedelta(minutes=1)

    @pytest.mark.parametrize(
        "name",
        ["", "signed_in", "user signed.in", "User.signed_in", "user.\x00", ".in", "user.", None],
    )
    def test_refuses_what_is_no_name(self, name):
        with pytest.raises(EventRefused, match="name"):
            record_event(name)

    def test_refuses_a_name_over_100_characters(self):
        record_event("n" * 95 + ".done")
        with pytest.raises(EventRefused, match="101 characters"):
            record_event("n" * 96 + ".done")

    def test_refuses_a_time_without_zone(self):
        naive = datetime(2026, 3, 10)  # noqa: DTZ001
        with pytest.raises(EventRefused, match="occurred_at: .* has no time zone"):
            record_event(NAME, occurred_at=naive)

    @pytest.mark.parametrize("text", ["9999-12-31T23:30-01:00", "0001-01-01T00:30+01:00"])
    def test_refuses_a_time_that_nobody_could_read_again(self, text):
        moment = datetime.fromisoformat(text)
        with pytest.raises(EventRefused, match="occurred_at: .* out of range"):
            record_event(NAME, occurred_at=moment)

    @pytest.mark.parametrize(
        "given", [{"tenant_id": "acme"}, {"occurred_at": "yesterday"}, {"occurred_at": date.max}]
    )
    def test_names_the_argument_that_can_not_be_stored(self, given):
        with pytest.raises(EventRefused, match=next(iter(given))):
            record_event(NAME, **given)

    def test_never_happened_when_rolled_back(self):
        with transaction.atomic():
            happen()
            transaction.set_rollback(True)

        aggregate_events()

        assert counts() == {}


class TestAggregate:
    def test_counts_per_tenant_name_and_day(self):
        happen(3)
        happen(2, tenant_id=GLOBEX)
        happen(1, name="report.deleted")
        happen(4, at=NOON - timedelta(days=1))

        aggregate_events()

        assert counts() == true_counts()
        assert sorted(counts().values()) == [1, 2, 3, 4]

    def test_includes_events_that_come_days_late(self):
        make_history()
        happen(3)
        aggregate_events()
        age_records()

        happen(2, at=NOON - timedelta(hours=5))
        done = aggregate_events()

        assert (count_of(), done.full, done.changed) == (5, False, 1)

    def test_gives_the_same_however_often_it_runs(self):
        make_history()
        happen(3)
        for _ in range(3):
            aggregate_events()
        before = list(DailyMetric.objects.order_by("pk").values())

        assert not aggregate_events().changed
        MetricsState.objects.update(watermark=None)
        assert aggregate_events() == aggregate.Counted(full=True, changed=0)
        assert list(DailyMetric.objects.order_by("pk").values()) == before

    def test_counts_a_new_group(self):
        make_history()
        happen(tenant_id=GLOBEX, name="invoice.sent")

        aggregate_events()

        assert count_of("invoice.sent", GLOBEX) == 1

    def test_adds_nothing_to_the_counts_of_another_tenant(self):
        make_history()
        happen(2, tenant_id=ACME)
        aggregate_events()
        happen(5, tenant_id=GLOBEX)

        aggregate_events()

        assert (count_of(tenant_id=ACME), count_of(tenant_id=GLOBEX)) == (2, 5)

    def test_reads_nothing_again_that_is_older_than_the_overlap(self, settings):
        make_history()
        settings.JOBS_METRICS_OVERLAP_SECONDS = 60
        happen()
        Event.objects.filter(name=NAME).update(
            recorded_at=django_timezone.now() - timedelta(seconds=70)
        )
        aggregate_events()
        assert count_of() == 0  # A transaction that outlasts the setting: documented there.

        settings.JOBS_METRICS_OVERLAP_SECONDS = 3_600
        aggregate_events()
        assert count_of() == 1

    def test_goes_on_when_the_clock_of_the_database_was_set_back(self):
        make_history()
        ahead = django_timezone.now() + timedelta(hours=6)
        MetricsState.objects.update(watermark=ahead)

        happen()
        aggregate_events()

        assert count_of() == 1
        assert MetricsState.objects.filter(watermark__lt=ahead).exists()

    def test_is_a_job_without_payload(self):
        happen(2)
        enqueue("metrics.aggregate_metrics")

        [job] = run_enqueued_jobs()

        assert (job.state, count_of()) == (JobState.SUCCEEDED, 2)


class TestDays:
    @pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "America/Los_Angeles"])
    @pytest.mark.parametrize("full", [True, False])
    def test_end_at_midnight_utc_in_every_session(self, zone, full):
        make_history()
        for moment in ("2026-03-10T00:00:00", "2026-03-10T23:59:59.999999", "2026-03-11T00:00:00"):
            happen(at=datetime.fromisoformat(f"{moment}+00:00"))
        if full:
            MetricsState.objects.update(watermark=None)
        with connection.cursor() as cursor:
            cursor.execute("SELECT SET_CONFIG('TimeZone', %s, true)", [zone])

        assert aggregate_events().full == full

        assert count_of(day=date(2026, 3, 10)) == 2
        assert count_of(day=date(2026, 3, 11)) == 1

    def test_are_those_of_utc_for_events_of_other_zones(self):
        tokyo = timezone(timedelta(hours=9))
        happen(at=datetime(2026, 3, 11, 8, 59, tzinfo=tokyo))
        happen(at=datetime(2026, 3, 11, 9, 0, tzinfo=tokyo))

        aggregate_events()

        assert count_of(day=date(2026, 3, 10)) == 1
        assert count_of(day=date(2026, 3, 11)) == 1


class TestTheChoice:
    def test_is_a_full_count_at_first(self):
        happen()
        assert aggregate_events().full

    def test_is_what_changed_when_that_is_at_most_half(self):
        make_history(days=10)
        for ago in range(5):
            happen(at=NOON - timedelta(days=30 + ago), name="history.made")
        assert not aggregate_events().full

    def test_is_a_full_count_when_more_than_half_changed(self):
        make_history(days=10)
        for ago in range(6):
            happen(at=NOON - timedelta(days=30 + ago), name="history.made")
        assert aggregate_events().full

    @pytest.mark.parametrize("seed", range(8))
    def test_never_changes_the_counts(self, seed, monkeypatch):
        # Given events of random groups that come in random portions
        chance = random.Random(seed)
        for _ in range(6):
            for _ in range(chance.randint(0, 12)):
                happen_somewhere(chance)
            # When some are counted by what changed and some all anew
            if chance.random() < 0.5:
                forced = chance.random() < 0.5
                monkeypatch.setattr(aggregate, "_mostly_touched", lambda *_, full=forced: full)
            else:
                monkeypatch.undo()
            aggregate_events()

            # Then after each run the counts are those of the events
            assert counts() == true_counts()


def happen_somewhere(chance: random.Random) -> None:
    at = datetime(2026, 3, 9, tzinfo=UTC) + timedelta(seconds=chance.randint(0, 3 * 86_400))
    name = chance.choice(["report.viewed", "report.deleted", "user.signed_in"])
    happen(chance.randint(1, 3), name=name, tenant_id=chance.choice([ACME, GLOBEX]), at=at)

"""`GET /metrics`: what Prometheus reads, whatever state the installation is in."""

from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from jobs.models import Job, Process, Slot
from jobs.states import JobState, SlotOutcome
from tests.drills import make_job, store_backlog
from tests.letters import make_letter

pytestmark = pytest.mark.django_db


def read(client, **headers) -> dict[str, float]:
    """Return `{"name" or "name{label}": value}` as a parser of Prometheus's own reads it."""
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    samples = [
        sample
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    ]
    return {
        sample.name + "".join(f"{{{value}}}" for value in sample.labels.values()): sample.value
        for sample in samples
    }


def make_slot(outcome: str, ago: timedelta) -> None:
    at = timezone.now() - ago
    Slot.objects.create(schedule_id=1, schedule_name="nightly", at=at, outcome=outcome)


class TestMetrics:
    def test_say_what_an_idle_installation_does(self, client):
        assert read(client) == {
            "offload_up": 1,
            **{f"offload_jobs{{{state}}}": 0 for state in sorted(JobState.values[:4])},
            "offload_relay_lag_seconds": 0,
            "offload_relays_alive": 0,
            "offload_dead_letters_open": 0,
            **{f"offload_schedule_slots{{{outcome}}}": 0 for outcome in SlotOutcome.values},
        }

    def test_count_live_jobs_by_state(self, client):
        for state in JobState.values:
            make_job(state=state)
        make_job(state=JobState.RUNNING)

        figures = read(client)

        assert figures["offload_jobs{running}"] == 2
        assert figures["offload_jobs{retrying}"] == 1
        assert "offload_jobs{succeeded}" not in figures

    def test_tell_how_far_the_relay_lags_and_whether_one_lives(self, client):
        now = timezone.now()
        job = make_job()
        Job.objects.filter(pk=job.pk).update(run_at=now - timedelta(minutes=5))
        Process.objects.create(name="gone", kind="relay", seen_at=now - timedelta(minutes=5))
        Process.objects.create(name="here", kind="relay", seen_at=now)

        figures = read(client)

        assert figures["offload_relays_alive"] == 1
        assert figures["offload_relay_lag_seconds"] == pytest.approx(300, abs=30)

    def test_tell_when_a_beat_last_ticked(self, client):
        now = timezone.now()
        for number in range(2):
            at = now - timedelta(hours=number)
            Process.objects.create(name=f"beat-{number}", kind="beat", seen_at=at)

        figures = read(client)

        assert figures["offload_beat_last_tick_timestamp_seconds"] == pytest.approx(now.timestamp())

    def test_count_open_dead_letters(self, client):
        make_letter()
        assert read(client)["offload_dead_letters_open"] == 1

    def test_count_the_slots_of_the_last_day_by_outcome(self, client):
        make_slot(SlotOutcome.RAN, timedelta(hours=1))
        make_slot(SlotOutcome.RAN, timedelta(hours=23))
        make_slot(SlotOutcome.RAN, timedelta(hours=25))
        make_slot(SlotOutcome.FAILED, timedelta(minutes=1))

        figures = read(client)

        assert figures["offload_schedule_slots{ran}"] == 2
        assert figures["offload_schedule_slots{failed}"] == 1

    def test_name_no_tenant_and_no_job_type(self, client):
        job = make_job()
        text = client.get("/metrics").content.decode()
        assert str(job.tenant_id) not in text
        assert job.type not in text


class TestTheRoute:
    def test_answers_by_any_host_name_without_tls_or_session(self, client, settings):
        settings.SECURE_SSL_REDIRECT = True
        assert read(client, Host="10.1.2.3:8000")["offload_up"] == 1
        assert not client.cookies

    def test_says_that_the_database_is_away(self, client, monkeypatch):
        def fail(*_, **__):
            raise OperationalError("connection refused")

        monkeypatch.setattr(connection, "cursor", fail)
        assert read(client) == {"offload_up": 0}

    def test_says_the_same_before_the_tables_are_there(self, client):
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE jobs_slot RENAME TO jobs_slot_of_tomorrow")
        assert read(client) == {"offload_up": 0}

    def test_may_only_be_read(self, client):
        assert client.post("/metrics").status_code in (403, 404)


class TestCost:
    def test_reads_no_table_of_jobs_from_end_to_end(self, client):
        # Given a ledger most of whose jobs have settled
        store_backlog(5_000, partitions=5)
        Job.objects.update(state=JobState.SUCCEEDED)
        store_backlog(50, partitions=5)
        with connection.cursor() as cursor:
            cursor.execute("REINDEX TABLE jobs_job; ANALYZE jobs_job")

        # Then every statement that reads jobs does so by an index
        with CaptureQueriesContext(connection) as captured:
            read(client)
        asked = [each["sql"] for each in captured if "jobs_job" in each["sql"]]
        assert asked
        for statement in asked:
            assert "Seq Scan on jobs_job" not in plan(statement)


def plan(statement: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statement}")
        return "\n".join(line for (line,) in cursor.fetchall())

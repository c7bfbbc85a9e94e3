"""A long job keeps its lease by a thread of its own, on a connection of its own."""

from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from jobs.engine import lifecycle, stopping
from jobs.engine.heartbeat import Heartbeat
from jobs.models import Job
from jobs.states import JobState
from tests.drills import fresh, make_job
from tests.harness.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

SAFETY_NET_SECONDS = 60


@pytest.fixture
def heartbeat(settings):
    """A heart that beats as often as it can, in a thread that the test ends."""
    settings.JOBS_HEARTBEAT_SECONDS = 0.02
    heart = Heartbeat()
    yield heart
    heart.stop()


@pytest.fixture
def refused(monkeypatch):
    """Collect the jobs that the heartbeat was refused for."""
    jobs: list[Job] = []
    monkeypatch.setattr(stopping, "refuse", jobs.append)
    return jobs


def nearly_over():
    return timezone.now() + timedelta(seconds=2)


def wait_for_beat(job):
    """Wait until the lease has been extended."""
    beaten = Job.objects.filter(pk=job.pk, lease_until__gt=timezone.now() + timedelta(seconds=30))
    wait_for(beaten.exists, SAFETY_NET_SECONDS, "a heartbeat", every_seconds=0.01)


class TestHeartbeat:
    def test_extends_the_lease_while_the_job_runs(self, heartbeat):
        job = make_job(state=JobState.RUNNING, lease_until=nearly_over())

        with heartbeat.keep(job):
            wait_for_beat(job)

        assert fresh(job).state == "running"

    def test_does_so_while_the_jobs_own_connection_is_in_a_transaction(self, heartbeat):
        job = make_job(state=JobState.RUNNING, lease_until=nearly_over())

        with heartbeat.keep(job), transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            wait_for_beat(job)

    def test_ends_with_the_block(self, heartbeat):
        job = make_job(state=JobState.RUNNING, lease_until=nearly_over())
        with heartbeat.keep(job):
            wait_for_beat(job)
        lease = nearly_over()
        Job.objects.filter(pk=job.pk).update(lease_until=lease)

        # Another job's heart has beaten meanwhile; this one's lease stays as it was.
        other = make_job(state=JobState.RUNNING, lease_until=nearly_over())
        with heartbeat.keep(other):
            wait_for_beat(other)
        assert fresh(job).lease_until == lease

    @pytest.mark.parametrize("change", [{"state": "cancelled"}, {"attempt": 2}, {"dispatch": 2}])
    def test_learns_that_the_job_is_its_own_no_more(self, heartbeat, refused, change):
        job = make_job(state=JobState.RUNNING, lease_until=nearly_over())
        lease = job.lease_until

        with heartbeat.keep(job):
            Job.objects.filter(pk=job.pk).update(**change)
            wait_for(lambda: refused, SAFETY_NET_SECONDS, "a refusal", every_seconds=0.01)

        assert refused[0] is job
        assert fresh(job).lease_until == lease or fresh(job).state == "running"

    def test_says_so_once(self, heartbeat, refused):
        job = make_job(state=JobState.RUNNING)
        other = make_job(state=JobState.RUNNING, lease_until=nearly_over())
        Job.objects.filter(pk=job.pk).update(state="cancelled")

        with heartbeat.keep(job), heartbeat.keep(other):
            wait_for(lambda: refused, SAFETY_NET_SECONDS, "a refusal", every_seconds=0.01)
            Job.objects.filter(pk=other.pk).update(lease_until=nearly_over())
            wait_for_beat(other)

        assert refused == [job]

    @pytest.mark.parametrize("fault", [OperationalError("away"), RuntimeError("anything")])
    def test_survives_whatever_befalls_one_beat(self, heartbeat, refused, monkeypatch, fault):
        # Unknown is not refused: the job goes on, and the next beat may succeed.
        beat, faults = lifecycle.extend_lease, [fault]

        def beat_badly_once(job):
            if faults:
                raise faults.pop()
            return beat(job)

        monkeypatch.setattr(lifecycle, "extend_lease", beat_badly_once)
        job = make_job(state=JobState.RUNNING, lease_until=nearly_over())

        with heartbeat.keep(job):
            wait_for_beat(job)

        assert (faults, refused) == ([], [])

    def test_costs_a_short_job_nothing(self, settings, django_assert_num_queries):
        settings.JOBS_HEARTBEAT_SECONDS = 3_600
        job = make_job(state=JobState.RUNNING)
        heart = Heartbeat()

        with django_assert_num_queries(0), heart.keep(job):
            pass

        heart.stop()


class TestExtendLease:
    def test_is_judged_by_the_databases_clock(self):
        job = make_job(state=JobState.RUNNING, silent=True)

        with transaction.atomic(), connection.cursor() as cursor:
            assert lifecycle.extend_lease(job)
            cursor.execute(
                "SELECT lease_until - statement_timestamp() FROM jobs_job WHERE id = %s", [job.pk]
            )
            (left,) = cursor.fetchone()

        assert timedelta(seconds=30) < left <= timedelta(seconds=60)

    @pytest.mark.parametrize("state", ["waiting", "queued", "retrying", "succeeded", "failed"])
    def test_is_refused_when_the_job_does_not_run(self, state):
        job = make_job(state=JobState.RUNNING)
        Job.objects.filter(pk=job.pk).update(state=state)

        assert not lifecycle.extend_lease(job)

"""The relay's loop: it wakes for what is due, recovers under load, and outlives every outage."""

import threading
from collections.abc import Callable

import pytest
from django.db import OperationalError, connection

from jobs import enqueue
from jobs.engine import relay
from jobs.engine.alarm_clock import CHANNEL
from jobs.engine.daemon import RelayDaemon
from jobs.models import Process
from jobs.states import JobState
from tests.deliveries import Recorder
from tests.drills import fresh, make_job, run_atomic
from tests.harness.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

SAFETY_NET_SECONDS = 60


@pytest.fixture
def broker():
    return Recorder()


@pytest.fixture
def stopping():
    return threading.Event()


@pytest.fixture
def daemon(broker, stopping, settings):
    """A relay in a thread that sleeps for an hour unless it is woken; started by the test."""
    settings.JOBS_RELAY_POLL_SECONDS = 3_600
    thread = threading.Thread(target=RelayDaemon(broker, stopping).run)
    yield thread
    stopping.set()
    if thread.ident:
        wake()
        thread.join(SAFETY_NET_SECONDS)
        assert not thread.is_alive()


def wake():
    with connection.cursor() as cursor:
        cursor.execute(f"NOTIFY {CHANNEL}")


def wait_until(predicate: Callable[[], object], what: str) -> None:
    wait_for(predicate, SAFETY_NET_SECONDS, what, every_seconds=0.02)


class TestRelayDaemon:
    def test_sends_what_was_stored_before_it_started(self, daemon, broker):
        enqueue(run_atomic, {})
        daemon.start()

        wait_until(lambda: broker.sent, "the job was sent")

    def test_is_woken_by_a_commit(self, daemon, broker):
        daemon.start()
        wait_until(lambda: Process.objects.filter(kind="relay").exists(), "the relay looked")

        enqueue(run_atomic, {})

        wait_until(lambda: broker.sent, "the job was sent")

    def test_shows_that_it_lives_and_signs_off(self, daemon, stopping):
        daemon.start()
        wait_until(lambda: Process.objects.filter(kind="relay").exists(), "a sign of life")
        stopping.set()
        wake()
        daemon.join(SAFETY_NET_SECONDS)

        assert not Process.objects.filter(kind="relay").exists()

    def test_recovers_while_there_is_always_more_to_relay(self, broker, stopping, monkeypatch):
        # Given a load under which every turn finds something due
        job = make_job(state=JobState.RUNNING, silent=True)
        turns = iter(range(20))

        def relay_for_ever(publisher):
            if next(turns, None) is None:
                stopping.set()
            return 1

        monkeypatch.setattr(relay, "relay_due_jobs", relay_for_ever)
        daemon = RelayDaemon(broker, stopping)
        daemon._next_sweep = 0
        daemon.run()

        # Then a job whose lease is over comes back all the same
        assert fresh(job).state == "waiting"

    def test_goes_on_when_the_broker_is_back(self, daemon, broker):
        broker.away = True
        job = enqueue(run_atomic, {})
        daemon.start()
        wait_until(lambda: broker.refused > 1, "it tried more than once")
        assert fresh(job).state == "waiting"

        broker.away = False

        wait_until(lambda: broker.sent, "the job was sent")

    def test_goes_on_when_the_database_is_back(self, daemon, broker, monkeypatch):
        take, faults = relay.relay_due_jobs, [OperationalError("away")] * 2

        def fail_at_first(publisher):
            if faults:
                raise faults.pop()
            return take(publisher)

        monkeypatch.setattr(relay, "relay_due_jobs", fail_at_first)
        enqueue(run_atomic, {})
        daemon.start()

        wait_until(lambda: broker.sent, "the job was sent")

    def test_goes_on_when_its_connections_were_cut(self, daemon, broker):
        daemon.start()
        wait_until(lambda: Process.objects.filter(kind="relay").exists(), "the relay looked")
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

        enqueue(run_atomic, {})

        wait_until(lambda: broker.sent, "the job was sent")

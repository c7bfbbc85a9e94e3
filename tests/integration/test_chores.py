"""What the relay does now and then for others: none keeps another back, or ends the relay."""

import threading
from types import SimpleNamespace

import pytest
from django.db import OperationalError

from jobs.engine import chores
from jobs.engine.daemon import RelayDaemon
from jobs.models import Job
from jobs.workflows import sweep
from tests import workflow_drills as drills
from tests.deliveries import Recorder
from tests.drills import make_job
from tests.harness.waiting import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

SAFETY_NET_SECONDS = 60


@pytest.fixture(autouse=True)
def none_of_others(monkeypatch):
    """Begin without the product's own chores, whose time a test would have to wait for."""
    monkeypatch.setattr(chores, "_chores", {})


@pytest.fixture
def relay(settings):
    """A relay in a thread, with a broker that records; started by the test."""
    settings.JOBS_RELAY_POLL_SECONDS = 0.05
    stopping, broker = threading.Event(), Recorder()
    thread = threading.Thread(target=RelayDaemon(broker, stopping).run)
    yield SimpleNamespace(start=thread.start, sent=broker.sent)
    stopping.set()
    thread.join(SAFETY_NET_SECONDS)
    assert not thread.is_alive()


def fault():
    raise RuntimeError("no broom")


class TestDoWhatIsDue:
    def test_does_each_about_so_often(self):
        done = []
        chores.register("often", lambda: done.append("often"), every_seconds=0)
        chores.register("seldom", lambda: done.append("seldom"), every_seconds=3_600)

        for _ in range(3):
            chores.do_what_is_due()

        assert done == ["often", "seldom", "often", "often"]

    def test_that_fails_keeps_no_other_back_and_comes_again(self):
        done = []

        def bad():
            done.append("bad")
            fault()

        chores.register("bad", bad, every_seconds=0)
        chores.register("good", lambda: done.append("good"), every_seconds=0)

        chores.do_what_is_due()
        chores.do_what_is_due()

        assert done == ["bad", "good"] * 2

    def test_leaves_a_database_that_is_away_to_the_relay(self):
        def away():
            raise OperationalError("server closed the connection unexpectedly")

        chores.register("away", away, every_seconds=0)

        with pytest.raises(OperationalError):
            chores.do_what_is_due()

    def test_has_one_chore_of_a_name(self):
        done = []
        chores.register("same", fault, every_seconds=0)
        chores.register("same", lambda: done.append("new"), every_seconds=0)

        chores.do_what_is_due()

        assert done == ["new"]


class TestARelay:
    def test_goes_on_relaying_whatever_a_chore_does(self, relay):
        chores.register("bad", fault, every_seconds=0)
        job = make_job()
        relay.start()

        wait_for(lambda: relay.sent, SAFETY_NET_SECONDS, "a message", every_seconds=0.02)
        assert relay.sent[0].id == str(job.pk)

    def test_enqueues_and_hands_over_timers_that_are_due(self, relay):
        sweep.register()
        with drills.known():
            workflow = drills.start(drills.WAIT)
            drills.let_it_be_due(workflow, "timeout")
            relay.start()
            wait_for(lambda: relay.sent, SAFETY_NET_SECONDS, "a message", every_seconds=0.02)

        assert Job.objects.get(pk=relay.sent[0].id).type == "workflows.fire_timer"

"""Beat's scheduler between Celery's service and the clock: signs of life, and what it outlives."""

import pytest
from celery import current_app
from django.db import OperationalError, ProgrammingError

from jobs import queries
from jobs.alerts import watch
from jobs.models import Process
from jobs.schedules.clock import Clock
from jobs.schedules.scheduler import AWAY_SECONDS, Scheduler

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def scheduler():
    return Scheduler(current_app)


def failing(fault):
    def fail(*args, **kwargs):
        raise fault

    return fail


class TestATick:
    def test_shows_life_and_sleeps_for_seconds_at_most(self, scheduler):
        assert 0 < scheduler.tick() <= 5
        assert Process.objects.get().kind == "beat"

    @pytest.mark.parametrize(
        "fault", [OperationalError("the database is away"), ProgrammingError("no such column")]
    )
    def test_that_fails_ends_nothing_and_is_no_sign_of_life(self, scheduler, monkeypatch, fault):
        with monkeypatch.context() as patched:
            patched.setattr(Clock, "tick", failing(fault))
            assert scheduler.tick() == AWAY_SECONDS
        assert queries.last_beat_tick() is None

        scheduler.tick()
        assert queries.last_beat_tick() is not None

    def test_adds_no_rows_of_celerys_own(self, scheduler):
        scheduler.tick()
        scheduler.sync()
        scheduler.close()
        assert not scheduler.Model.objects.exists()
        assert queries.last_beat_tick() is not None  # What is silent from now on is known by it.


class TestTheWatch:
    @pytest.mark.parametrize(
        "look", ["_look_at_relay", "_look_at_beat", "_look_at_open_dead_letters"]
    )
    def test_makes_the_other_looks_where_one_fails(self, monkeypatch, look):
        made = []
        for name in ("_look_at_relay", "_look_at_beat", "_look_at_open_dead_letters"):
            monkeypatch.setattr(watch, name, lambda name=name: made.append(name))
        monkeypatch.setattr(watch, look, failing(ProgrammingError("no such column")))

        watch.look()

        assert len(made) == 2

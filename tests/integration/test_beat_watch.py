"""A silent beat is told of by the workers: once per silence, whoever ended it."""

import re
import threading
from datetime import timedelta

import pytest
from django.utils import timezone

from jobs import queries
from jobs.alerts import watch
from jobs.doctor import Status, daemons
from jobs.engine.daemon import RelayDaemon
from jobs.models import Alert, Incident, Process
from jobs.states import AlertKind
from jobs.testing import run_enqueued_jobs
from tests.deliveries import Recorder, at_once
from tests.receiver import receiver

pytestmark = pytest.mark.django_db(transaction=True)


#: A test may be held up for so long between a tick and the look at it.
PAUSE_SECONDS = 25


def tick(*, seconds_ago: float, name: str = "beat@here") -> None:
    moment = timezone.now() - timedelta(seconds=seconds_ago)
    Process.objects.update_or_create(name=name, defaults={"kind": "beat", "seen_at": moment})


def seconds_in(words: str, pattern: str) -> int:
    """Return the number that stands for (N) in a sentence."""
    found = re.fullmatch(re.escape(pattern).replace("N", r"(\d+)"), words)
    assert found, words
    return int(found[1])


def alerts() -> list[Alert]:
    return list(Alert.objects.filter(kind=AlertKind.BEAT_SILENT))


class TestASilentBeat:
    def test_is_told_of_once_with_its_last_tick(self, settings):
        tick(seconds_ago=90)
        with receiver() as hook:
            settings.ALERT_WEBHOOK_URL = hook.url
            for _ in range(3):
                watch.look()
            run_enqueued_jobs()
            [body] = hook.bodies

        assert body["severity"] == "error"
        data = body["data"]
        assert data["type"] == "beat_silent"
        assert 90 <= data["silent_seconds"] <= 90 + PAUSE_SECONDS
        told = seconds_in(body["message"], "Beat has not ticked for N s")
        assert told == data["silent_seconds"]
        assert data["last_tick"] == Process.objects.get(kind="beat").seen_at.isoformat()

    def test_is_told_of_once_by_many_workers(self):
        tick(seconds_ago=90)
        at_once(*[watch.look] * 4)
        assert len(alerts()) == 1

    def test_is_told_of_again_once_the_interval_is_over(self):
        tick(seconds_ago=3_600)
        watch.look()
        Incident.objects.update(last_alert_at=timezone.now() - timedelta(minutes=16))
        watch.look()
        assert len(alerts()) == 2

    def test_is_told_of_again_at_once_if_it_has_ticked_in_between(self):
        tick(seconds_ago=600)
        watch.look()
        Incident.objects.update(last_alert_at=timezone.now() - timedelta(minutes=5))
        tick(seconds_ago=70)
        watch.look()
        assert len(alerts()) == 2

    @pytest.mark.parametrize("seconds_ago", [0, 60 - PAUSE_SECONDS])
    def test_is_none_that_has_ticked_lately(self, seconds_ago):
        tick(seconds_ago=seconds_ago)
        watch.look()
        assert alerts() == []

    @pytest.mark.parametrize(("spare_seconds", "told"), [(PAUSE_SECONDS, 0), (-1, 1)])
    def test_is_one_that_is_silent_for_longer_than_is_set(self, settings, spare_seconds, told):
        settings.ALERTS_BEAT_SILENT_SECONDS = 3_600
        tick(seconds_ago=3_600 - spare_seconds)
        watch.look()
        assert len(alerts()) == told

    def test_is_none_beside_another_that_ticks(self):
        tick(seconds_ago=9_000, name="beat@dead")
        tick(seconds_ago=1, name="beat@here")
        watch.look()
        assert alerts() == []

    def test_is_none_where_none_has_ever_ticked(self):
        Process.objects.create(name="relay@here", kind="relay", seen_at=timezone.now())
        watch.look()
        assert alerts() == []


class TestTheLastTick:
    def test_is_the_newest_of_all_beats(self):
        assert queries.last_beat_tick() is None
        tick(seconds_ago=50, name="beat@dead")
        tick(seconds_ago=5, name="beat@here")
        assert queries.last_beat_tick() == Process.objects.get(name="beat@here").seen_at

    @pytest.mark.parametrize(("seconds_ago", "status"), [(2, Status.OK), (31, Status.FAILED)])
    def test_is_what_doctor_says(self, seconds_ago, status):
        tick(seconds_ago=9_000, name="beat@dead")
        tick(seconds_ago=seconds_ago)
        found = daemons.beat_ticks()
        said = seconds_in(found.found, "its last tick was N s ago")
        assert found.status == status
        assert seconds_ago <= said <= seconds_ago + PAUSE_SECONDS

    def test_outlives_the_relays_that_sign_off(self):
        days_ago = 3 * 86_400
        tick(seconds_ago=days_ago, name="beat@dead")
        long_ago = timezone.now() - timedelta(seconds=days_ago)
        Process.objects.create(name="relay@dead", kind="relay", seen_at=long_ago)
        stopping = threading.Event()
        stopping.set()
        RelayDaemon(Recorder(), stopping).run()
        assert [each.name for each in Process.objects.all()] == ["beat@dead"]

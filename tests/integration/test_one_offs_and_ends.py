"""Schedules that come once, and those that end."""

from datetime import timedelta
from typing import Any

import pytest
from django_celery_beat.models import ClockedSchedule, PeriodicTask

from jobs.models import Job, ScheduleCursor
from jobs.schedules.operations import (
    switch_schedule,
    trigger_schedule,
)
from jobs.testing import run_enqueued_jobs
from tests.schedules import (
    START,
    anew,
    cron_alerts,
    ledger,
    make_schedule,
    proved,
)

pytestmark = pytest.mark.django_db(transaction=True)


class TestAOneOff:
    @pytest.mark.parametrize("kind", ["clocked", "crontab", "interval"])
    def test_runs_once_and_is_disabled(self, beat, kind):
        times: dict[str, dict[str, Any]] = {
            "clocked": {"clocked": START + timedelta(hours=1)},
            "crontab": {"cron": "0 * * * *", "one_off": True},
            "interval": {"every": (1, "hours"), "one_off": True},
        }
        schedule = make_schedule(**times[kind])
        beat.run(hours=5)
        assert ledger(schedule) == ["13:00 ran"]
        assert not anew(schedule).enabled
        assert ScheduleCursor.objects.get().disabled_reason == ""
        assert (cron_alerts(), proved(beat.now)) == ([], True)

    def test_whose_time_had_passed_before_it_was_saved_says_so(self, beat):
        schedule = make_schedule(clocked=START - timedelta(hours=1))
        beat.run(minutes=1)
        assert ledger(schedule) == []
        assert not anew(schedule).enabled
        assert "had passed" in ScheduleCursor.objects.get().disabled_reason

    def test_is_caught_up_and_then_disabled(self, beat):
        schedule = make_schedule(clocked=START + timedelta(hours=1))
        beat.tick()
        beat.pass_time(hours=3)
        beat.restart()
        beat.run(minutes=1)
        assert ledger(schedule) == ["13:00 caught_up"]
        assert not anew(schedule).enabled
        assert proved(beat.now)

    def test_that_waits_is_let_go_where_somebody_disables_it(self, beat):
        schedule = make_schedule(one_off=True, policy={"overlap": "wait"})
        trigger_schedule(schedule_id=schedule.pk, by="ann")  # Its job is live.
        beat.run(hours=1, minutes=1)
        assert ledger(schedule) == ["13:00 waiting"]

        switch_schedule(schedule_id=schedule.pk, enabled=False, by="ann")
        run_enqueued_jobs()
        beat.run(minutes=1)
        assert ledger(schedule) == ["13:00 policy"]

    @pytest.mark.parametrize("before", ["clocked", "crontab"])
    def test_that_was_moved_while_beat_was_away_runs_at_its_new_time_too(self, beat, before):
        # Given a schedule whose slot passes while no beat runs, and that is then moved
        one = {"clocked": START + timedelta(hours=1)}
        schedule = make_schedule(**(one if before == "clocked" else {"cron": "0 13 * * *"}))
        beat.tick()
        beat.pass_time(hours=1, minutes=30)
        later = ClockedSchedule.objects.create(clocked_time=START + timedelta(hours=6))
        schedule.clocked, schedule.crontab, schedule.one_off = later, None, True
        schedule.save()
        beat.pass_time(minutes=30)
        beat.restart()
        beat.run(hours=5)

        assert ledger(schedule) == ["13:00 caught_up", "18:00 ran"]
        assert not anew(schedule).enabled
        assert proved(beat.now)

    def test_comes_once_however_often_something_else_of_it_was_changed(self, beat):
        schedule = make_schedule(one_off=True, policy={"missed": "run_all"})
        beat.tick()
        beat.pass_time(hours=1, minutes=30)
        PeriodicTask.objects.get(pk=schedule.pk).save()
        schedule.description = "Another description."
        schedule.save()
        beat.pass_time(hours=2)
        beat.restart()
        beat.run(hours=1)
        assert ledger(schedule) == ["13:00 caught_up"]
        assert proved(beat.now)

    def test_runs_again_where_somebody_enables_it_again(self, beat):
        schedule = make_schedule(one_off=True)
        beat.run(hours=1, minutes=30)
        switch_schedule(schedule_id=schedule.pk, enabled=True, by="ann")
        beat.run(hours=3)
        assert ledger(schedule) == ["13:00 ran", "14:00 ran"]
        assert proved(beat.now)


class TestAnEnd:
    def test_lets_no_slot_come_and_disables_without_an_alert(self, beat):
        schedule = make_schedule(expires=START + timedelta(hours=2, minutes=30))
        beat.run(hours=5)
        assert ledger(schedule) == ["13:00 ran", "14:00 ran"]
        assert not anew(schedule).enabled
        assert (cron_alerts(), proved(beat.now)) == ([], True)

    @pytest.mark.parametrize("minutes", [0.1, 90])
    def test_lets_nothing_be_run_that_would_have_expired_already(self, beat, minutes):
        # Given a slot before the end that is found after it: its job could only die of its expiry
        schedule = make_schedule(expires=START + timedelta(hours=1, seconds=3))
        beat.tick()
        beat.pass_time(hours=1, minutes=minutes)
        beat.restart()
        beat.run(minutes=1)
        assert ledger(schedule) == ["13:00 policy"]
        assert (Job.objects.count(), cron_alerts()) == (0, [])
        assert not anew(schedule).enabled

    def test_of_its_beginning_holds_the_first_slot_back(self, beat):
        schedule = make_schedule(start_time=START + timedelta(hours=3))
        beat.run(hours=4)
        assert ledger(schedule) == ["15:00 ran", "16:00 ran"]

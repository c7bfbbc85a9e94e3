"""
Schedules on SQLite, where the embedded profile keeps its ledger.

A run on PostgreSQL leaves this module out; tests/integration/test_on_sqlite.py runs it then.
"""

from datetime import timedelta

import pytest
from django_celery_beat.models import PeriodicTask

from jobs.models import Job, Slot
from jobs.schedules.operations import pause_schedule, switch_schedule, trigger_schedule
from jobs.schedules.sync import sync_schedules
from jobs.testing import run_enqueued_jobs
from tests.drills import on_postgres
from tests.schedules import (
    START,
    Beat,
    anew,
    cron_alerts,
    jobs_of,
    ledger,
    make_crontab,
    make_schedule,
    proved,
    why_disabled,
)

if on_postgres():
    pytest.skip("tests/integration/test_on_sqlite.py runs it", allow_module_level=True)

pytestmark = pytest.mark.django_db


@pytest.fixture
def beat(monkeypatch):
    return Beat(monkeypatch)


class TestASlot:
    def test_starts_one_job_which_runs(self, beat):
        schedule = make_schedule(priority=3, headers='{"a": 1}')
        beat.run(hours=1)
        beat.restart()
        beat.tick()

        run_enqueued_jobs()

        [job] = jobs_of(schedule)
        assert (job.state, job.slot.at) == ("succeeded", START + timedelta(hours=1))
        assert ledger(schedule) == ["13:00 ran"]
        assert anew(schedule).total_run_count == 1
        assert proved(beat.now)

    def test_is_missing_where_it_was_taken_away(self, beat):
        make_schedule()
        beat.run(hours=3)
        Slot.objects.filter(at=START + timedelta(hours=2)).delete()
        assert not proved(beat.now)


class TestADayWithoutBeat:
    @pytest.mark.parametrize(("missed", "runs"), [("skip", 0), ("run_once", 1), ("run_all", 4)])
    def test_ends_by_the_policy(self, beat, missed, runs):
        schedule = make_schedule(cron="0 */6 * * *", policy={"missed": missed})
        beat.tick()
        beat.pass_time(hours=23, minutes=59)
        beat.restart()
        beat.run(seconds=30)
        assert Slot.objects.filter(missed=True).count() == 3
        beat.run(minutes=1)
        assert [job.slot.at.hour for job in jobs_of(schedule)][:runs] == {
            "skip": [], "run_once": [6], "run_all": [18, 0, 6, 12],
        }[missed]  # fmt: skip
        assert ledger(schedule)[-1] == "12:00 ran"
        assert proved(beat.now)


class TestAPolicy:
    def test_of_overlaps_is_kept(self, beat):
        skips = make_schedule("skips", policy={"overlap": "skip"})
        waits = make_schedule("waits", policy={"overlap": "wait"})
        beat.run(hours=2)
        assert ledger(skips) == ["13:00 ran", "14:00 overlap"]
        assert ledger(waits) == ["13:00 ran", "14:00 waiting"]
        run_enqueued_jobs()
        beat.run(seconds=5)
        assert ledger(waits) == ["13:00 ran", "14:00 late"]

    def test_of_a_pause_is_kept(self, beat):
        schedule = make_schedule()
        until = START + timedelta(minutes=90)
        pause_schedule(schedule_id=schedule.pk, until=until, by="ann")
        beat.run(hours=2)
        assert ledger(schedule) == ["13:00 pause", "14:00 ran"]


class TestAChange:
    def test_parts_the_slots(self, beat):
        schedule = make_schedule(policy={"missed": "run_all"})
        beat.tick()
        beat.pass_time(hours=1, minutes=30)
        schedule.crontab = make_crontab("*/20 * * * *")
        schedule.save()
        beat.pass_time(minutes=15)
        beat.restart()
        beat.run(seconds=10)
        assert ledger(schedule) == ["13:00 caught_up", "13:40 caught_up"]
        assert proved(beat.now)

    def test_past_djangos_signals_is_noticed(self, beat):
        schedule = make_schedule()
        beat.run(minutes=10)
        PeriodicTask.objects.update(crontab=make_crontab("30 * * * *"))
        beat.run(minutes=20)
        assert ledger(schedule) == ["12:30 ran"]

    def test_to_disabled_ends_the_slots(self, beat):
        schedule = make_schedule()
        switch_schedule(schedule_id=schedule.pk, enabled=False, by="ann")
        beat.run(hours=2)
        switch_schedule(schedule_id=schedule.pk, enabled=True, by="ann")
        beat.run(hours=1)
        assert ledger(schedule) == ["15:00 ran"]


class TestABrokenSchedule:
    def test_is_disabled_and_told_of(self, beat):
        schedule, other = make_schedule("broken", kwargs="{"), make_schedule("other")
        beat.run(hours=1)
        assert why_disabled(schedule).startswith("kwargs: not JSON")
        assert [alert["type"] for alert in cron_alerts()] == ["cron_failure"]
        assert ledger(other) == ["13:00 ran"]


class TestByHand:
    def test_runs_beside_the_slots(self, beat):
        schedule = make_schedule(enabled=False)
        slot = trigger_schedule(schedule_id=schedule.pk, by="ann")
        [job] = run_enqueued_jobs()
        assert (job.slot, job.state, slot.asked_by) == (slot, "succeeded", "ann")
        assert (ledger(schedule), Job.objects.count()) == ([], 1)


class TestTheCronTable:
    def test_is_written_once(self):
        assert {each.what.value for each in sync_schedules()} == {"created"}
        assert {each.what.value for each in sync_schedules()} == {"unchanged"}

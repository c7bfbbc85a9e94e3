"""Schedules at the edges: the end of the calendar, rows that are spoilt, a beat that hangs."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.urls import reverse
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from jobs.models import ScheduleCursor, Slot
from jobs.schedules import locking, queries, words
from jobs.schedules.clock import Clock
from jobs.schedules.errors import BrokenSchedule
from jobs.schedules.firing import fire_due
from jobs.schedules.locking import lock_schedule
from jobs.schedules.operations import switch_schedule, trigger_schedule
from jobs.schedules.sync import Synced, sync_schedules
from tests.schedule_pages import LIST, page_of
from tests.schedules import START, anew, cron_alerts, ledger, make_schedule, proved

pytestmark = pytest.mark.django_db(transaction=True)

LAST_DAY = datetime(9999, 12, 31, 23, tzinfo=UTC)


class TestTheEndOfTheCalendar:
    @pytest.mark.parametrize("zone", ["Asia/Tokyo", "Pacific/Auckland", "America/New_York"])
    def test_is_no_fault_of_a_schedule_that_begins_there(self, beat, admin, zone):
        schedule = make_schedule(cron="0 3 * * *", zone=zone, start_time=LAST_DAY)
        beat.run(minutes=1)
        assert cron_alerts() == []
        assert len(queries.next_slots(schedule)) <= 1
        assert admin.get(LIST).status_code == 200
        assert admin.get(page_of(schedule)).status_code == 200
        call_command("list_schedules")

    def test_is_told_in_utc_where_the_zone_has_none(self):
        schedule = make_schedule(zone="Pacific/Auckland")
        assert words.local_time(schedule, LAST_DAY) == "Fri 9999-12-31 23:00:00 UTC"

    def test_may_be_what_a_pause_ends_with(self, admin):
        schedule = make_schedule(zone="Pacific/Auckland")
        pause = reverse("admin:django_celery_beat_periodictask_pause", args=[schedule.pk])
        admin.post(pause, {"until": "9999-12-31T23:59"})
        assert admin.get(LIST).status_code == 200
        assert admin.get(page_of(schedule)).status_code == 200


class TestARowThatIsSpoilt:
    @pytest.mark.parametrize("minute", ["", "1,,2", "61", "x"])
    def test_is_disabled_and_shown(self, beat, admin, minute):
        schedule, other = make_schedule(), make_schedule("other")
        CrontabSchedule.objects.filter(pk=schedule.crontab_id).update(minute=minute)
        beat.run(hours=1)
        assert not anew(schedule).enabled
        assert ledger(other) == ["13:00 ran"]
        for page in (LIST, page_of(schedule), page_of(other), page_of(schedule.crontab)):
            assert admin.get(page).status_code == 200
        assert admin.get(page_of(schedule.crontab).rsplit("/", 3)[0] + "/").status_code == 200
        call_command("list_schedules")

    def test_lets_go_of_what_waits(self, beat):
        # Given a slot that waits for a job by hand, and a row that is spoilt meanwhile
        schedule = make_schedule(policy={"overlap": "wait"})
        trigger_schedule(schedule_id=schedule.pk, by="ann")
        beat.run(hours=1, minutes=1)
        PeriodicTask.objects.filter(pk=schedule.pk).update(kwargs="{")
        beat.run(hours=1)
        assert ledger(schedule) == ["13:00 policy"]

        # When it is mended much later, then nothing of then is run
        beat.pass_time(days=10)
        PeriodicTask.objects.filter(pk=schedule.pk).update(kwargs="{}")
        switch_schedule(schedule_id=schedule.pk, enabled=True, by="ann")
        beat.run(minutes=1)
        assert ledger(schedule) == ["13:00 policy"]

    def test_is_enabled_by_the_sync_that_mends_it(self, beat):
        sync_schedules()
        seeded = PeriodicTask.objects.get(name="health_check")
        ScheduleCursor.objects.filter(pk=seeded.pk).update(disabled_reason="No such task.")
        PeriodicTask.objects.filter(pk=seeded.pk).update(enabled=False)
        results = {each.name: each.what for each in sync_schedules()}
        assert results["health_check"] == Synced.UPDATED
        assert anew(seeded).enabled

    def test_is_an_operators_where_an_operator_disabled_it(self, beat):
        sync_schedules()
        seeded = PeriodicTask.objects.get(name="health_check")
        switch_schedule(schedule_id=seeded.pk, enabled=False, by="ann")
        assert {each.what for each in sync_schedules()} == {Synced.KEPT, Synced.UNCHANGED}
        assert not anew(seeded).enabled

    def test_may_have_spaces_in_its_crontab_for_a_sync(self, beat, settings):
        sync_schedules()
        seeded = PeriodicTask.objects.get(name="health_check")
        CrontabSchedule.objects.filter(pk=seeded.crontab_id).update(day_of_week="1, 5")
        ScheduleCursor.objects.filter(pk=seeded.pk).update(disabled_reason="")
        seed, *_ = [row for row in settings.JOBS_SCHEDULES if row.name == "health_check"]
        settings.JOBS_SCHEDULES = (type(seed)(**{**vars(seed), "description": "Another."}),)
        [result, *_] = sync_schedules()
        assert (result.what, result.kept) == (Synced.KEPT, ("cron",))
        assert anew(seeded).description == "Another."


class TestADeletion:
    def test_lets_go_of_what_waits(self, beat):
        schedule = make_schedule(policy={"overlap": "wait"})
        trigger_schedule(schedule_id=schedule.pk, by="ann")
        beat.run(hours=1, minutes=1)
        schedule.delete()
        assert Slot.objects.get(asked_by="").outcome == "policy"


class TestRunningNow:
    def test_is_refused_where_the_job_would_expire_unrun(self, beat):
        schedule = make_schedule(expires=START - timedelta(hours=1))
        with pytest.raises(BrokenSchedule, match="expires"):
            trigger_schedule(schedule_id=schedule.pk, by="ann")


class TestAReason:
    def test_stays_where_somebody_saves_what_they_read_before(self, beat):
        schedule = make_schedule()
        before = PeriodicTask.objects.get(pk=schedule.pk)
        PeriodicTask.objects.filter(pk=schedule.pk).update(enabled=False)
        ScheduleCursor.objects.filter(pk=schedule.pk).update(disabled_reason="It is spoilt.")
        before.description = "Another."
        before.save(update_fields=["description"])
        assert ScheduleCursor.objects.get().disabled_reason == "It is spoilt."


class TestADeploy:
    def test_that_brings_the_task_is_no_gap_until_it_is_late(self, beat, settings):
        settings.JOBS_UNKNOWN_TYPE_SECONDS = 600
        make_schedule(cron="* * * * *", task="reports.to_come")
        beat.run(minutes=8)
        assert Slot.objects.count() == 0
        assert proved(beat.now)


class TestABeatThatHangs:
    def test_with_the_lock_loses_it_and_is_no_failure_of_the_schedule(self, beat, monkeypatch):
        # Given a beat that hangs inside its transaction, with the schedule's lock
        monkeypatch.setattr(locking, "IDLE_SECONDS", 1)
        schedule = make_schedule()
        beat.pass_time(hours=1)
        locked, may_end, ended = threading.Event(), threading.Event(), []

        def hang():
            try:
                with transaction.atomic():
                    lock_schedule(schedule.pk, wait=False)
                    locked.set()
                    may_end.wait(30)
                    Clock(lambda: beat.now).tick(5)
            except Exception as error:
                ended.append(error)
            finally:
                connection.close()

        hung = threading.Thread(target=hang)
        hung.start()
        assert locked.wait(30)

        # Then the database ends its session, and another beat decides the slot
        deadline = threading.Event()
        for _ in range(300):
            fire_due(schedule.pk, now=beat.now)
            if ledger(schedule):
                break
            deadline.wait(0.1)
        assert ledger(schedule) == ["13:00 ran"]
        may_end.set()
        hung.join(30)
        assert ended
        assert cron_alerts() == []

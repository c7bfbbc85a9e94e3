"""A slot follows the definition of its time, whoever changes it and whether beat is there."""

import threading
from datetime import timedelta

import pytest
from django.db import transaction
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from jobs.models import Job, ScheduleRevision
from jobs.schedules.operations import (
    switch_schedule,
)
from tests.deliveries import at_once
from tests.drills import run_atomic
from tests.schedules import (
    START,
    ledger,
    make_crontab,
    make_schedule,
    proved,
    set_policy,
)

pytestmark = pytest.mark.django_db(transaction=True)


class TestAChange:
    def test_while_beat_is_down_leaves_old_slots_to_the_old_definition(self, beat):
        schedule = make_schedule(policy={"missed": "run_all"})
        beat.tick()
        beat.pass_time(hours=1, minutes=30)
        schedule.crontab = make_crontab("*/20 * * * *")
        schedule.save()
        beat.pass_time(minutes=35)
        beat.restart()
        beat.run(minutes=1)

        assert ledger(schedule) == ["13:00 caught_up", "13:40 caught_up", "14:00 caught_up"]
        assert proved(beat.now)

    def test_that_is_not_committed_makes_beat_wait_with_the_slots_and_holds_no_other(self, beat):
        # Given a change of the hourly schedule, made before 13:00 and not committed then
        changed, other = make_schedule("changed"), make_schedule("other")
        beat.tick()
        beat.pass_time(minutes=59)
        saved, ticked = threading.Event(), threading.Event()

        def change():
            with transaction.atomic():
                changed.crontab = make_crontab("30 * * * *")
                changed.save()
                saved.set()
                ticked.wait(30)

        def tick():
            saved.wait(30)
            beat.now = START + timedelta(hours=1)
            try:
                beat.tick()
                return ledger(changed), ledger(other)
            finally:
                ticked.set()

        # Then its slot is not decided, by a definition that nobody knows yet
        assert at_once(change, tick)[1] == ([], ["13:00 ran"])
        # And after the commit there is none: the change came first
        beat.run(minutes=31)
        assert ledger(changed) == ["13:30 ran"]
        assert proved(beat.now)

    def test_that_is_rolled_back_never_was(self, beat):
        schedule = make_schedule()
        schedule.crontab = make_crontab("30 * * * *")
        with transaction.atomic():
            schedule.save()
            transaction.set_rollback(True)
        beat.run(hours=1)
        assert ledger(schedule) == ["13:00 ran"]
        assert ScheduleRevision.objects.count() == 1

    @pytest.mark.parametrize("past", ["its crontab", "another crontab"])
    def test_past_djangos_signals_is_noticed(self, beat, past):
        schedule = make_schedule()
        beat.run(minutes=10)
        if past == "its crontab":
            CrontabSchedule.objects.filter(pk=schedule.crontab_id).update(minute="30")
        else:
            new = make_crontab("30 * * * *")
            PeriodicTask.objects.filter(pk=schedule.pk).update(crontab=new)
        beat.run(minutes=30)

        assert ledger(schedule) == ["12:30 ran"]
        assert ScheduleRevision.objects.count() == 2
        assert proved(beat.now)

    def test_of_a_schedule_that_was_saved_past_djangos_signals_is_its_beginning(self, beat):
        crontab = make_crontab("*/10 * * * *")
        PeriodicTask.objects.bulk_create(
            [PeriodicTask(name="bulk", task=run_atomic.name, crontab=crontab)]
        )
        beat.run(minutes=10)
        schedule = PeriodicTask.objects.get()
        assert ledger(schedule) == ["12:10 ran"]
        assert proved(beat.now)

    @pytest.mark.parametrize("past_signals", [False, True])
    def test_to_disabled_ends_the_slots_and_back_makes_none_up(self, beat, past_signals):
        def switch(enabled):
            if past_signals:
                PeriodicTask.objects.filter(pk=schedule.pk).update(enabled=enabled)
            else:
                switch_schedule(schedule_id=schedule.pk, enabled=enabled, by="ann")

        schedule = make_schedule(policy={"missed": "run_all"})
        beat.run(hours=1, minutes=30)
        switch(enabled=False)
        beat.run(hours=3)
        switch(enabled=True)
        beat.run(hours=1)

        assert ledger(schedule) == ["13:00 ran", "17:00 ran"]
        assert proved(beat.now)

    def test_to_disabled_while_beat_is_down_leaves_no_slot_before_it_undecided(self, beat):
        schedule = make_schedule(policy={"missed": "run_all"})
        beat.tick()
        beat.pass_time(hours=2, minutes=30)
        switch_schedule(schedule_id=schedule.pk, enabled=False, by="ann")
        beat.pass_time(hours=2)
        beat.restart()
        beat.run(minutes=1)

        # They are in the ledger, and nobody wants them any more
        assert ledger(schedule) == ["13:00 policy", "14:00 policy"]
        assert Job.objects.count() == 0
        assert proved(beat.now)

    def test_of_the_policy_holds_from_the_next_slot(self, beat):
        schedule = make_schedule(policy={"missed": "skip"})
        beat.tick()
        beat.pass_time(hours=2, minutes=30)
        set_policy(schedule, missed="run_once")
        beat.restart()
        beat.run(minutes=1)
        assert ledger(schedule) == ["13:00 policy", "14:00 caught_up"]

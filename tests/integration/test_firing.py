"""Slots become jobs: once, in order, by the definition and the policy of their time."""

import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django_celery_beat.models import ClockedSchedule, CrontabSchedule, PeriodicTask

from jobs import enqueue
from jobs.models import Job, ScheduleCursor, ScheduleRevision, Slot
from jobs.schedules import firing
from jobs.schedules.clock import AGAIN_SECONDS, Clock
from jobs.schedules.firing import SLOTS_AT_ONCE, fire_due
from jobs.schedules.moments import moment_of
from jobs.schedules.operations import (
    pause_schedule,
    resume_schedule,
    switch_schedule,
    trigger_schedule,
)
from jobs.schedules.starting import start_job
from jobs.states import JobState
from jobs.testing import run_enqueued_jobs
from tests.deliveries import at_once
from tests.drills import fresh, run_atomic, run_freely, script
from tests.schedules import (
    START,
    Beat,
    anew,
    covered,
    cron_alerts,
    jobs_of,
    ledger,
    make_crontab,
    make_schedule,
    proved,
    set_policy,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def beat(monkeypatch):
    return Beat(monkeypatch)


class TestASlot:
    def test_starts_its_job_when_its_time_has_come(self, beat):
        schedule = make_schedule(payload={"label": "hourly"})
        beat.tick()
        beat.pass_time(minutes=59, seconds=59)
        assert beat.tick() == pytest.approx(1)
        assert ledger(schedule) == []

        beat.pass_time(seconds=1)
        beat.tick()

        [job], [slot] = jobs_of(schedule), Slot.objects.all()
        assert ledger(schedule) == ["13:00 ran"]
        assert (job.type, job.payload, job.state) == (
            "drills.run_atomic", {"label": "hourly"}, "waiting",
        )  # fmt: skip
        assert (slot.job, job.slot, slot.missed) == (job, slot, False)
        assert moment_of(job) == slot.at == START + timedelta(hours=1)
        assert (covered(schedule), slot.decided_at) == (beat.now, beat.now)
        assert (anew(schedule).last_run_at, anew(schedule).total_run_count) == (beat.now, 1)

    def test_comes_once_however_often_beat_looks_or_starts(self, beat):
        schedule = make_schedule()
        beat.pass_time(hours=1)
        for _ in range(3):
            beat.tick()
            beat.restart()
            fire_due(schedule.pk, now=beat.now)
        assert ledger(schedule) == ["13:00 ran"]
        assert len(jobs_of(schedule)) == 1

    def test_is_late_after_five_seconds(self, beat):
        schedule = make_schedule()
        beat.pass_time(hours=1, seconds=6)
        beat.tick()
        assert ledger(schedule) == ["13:00 late"]

    @pytest.mark.parametrize("step", ["start_job", "note_run", "_move_cursor", "has_live_jobs"])
    def test_was_never_decided_where_a_step_of_it_fails(self, beat, monkeypatch, step):
        schedule = make_schedule()
        set_policy(schedule, overlap="skip")
        beat.pass_time(hours=1)
        whole = getattr(firing, step)

        def fail(*args, **kwargs):
            whole(*args, **kwargs)
            raise RuntimeError("the process has a fault")

        with monkeypatch.context() as patched:
            patched.setattr(firing, step, fail)
            with pytest.raises(RuntimeError):
                fire_due(schedule.pk, now=beat.now)

        assert (ledger(schedule), Job.objects.count(), covered(schedule)) == ([], 0, START)
        assert (anew(schedule).last_run_at, anew(schedule).total_run_count) == (None, 0)
        beat.tick()
        assert (ledger(schedule), Job.objects.count()) == (["13:00 ran"], 1)

    def test_is_the_next_one_that_beat_sleeps_for(self, beat):
        make_schedule("one", every=(90, "seconds"))
        make_schedule("two", cron="*/2 * * * *")
        for _ in range(2):
            beat.tick()
        assert beat.tick() == pytest.approx(90)
        assert beat.tick(longest=5) == 5

    def test_of_a_job_that_hands_its_slot_on_is_its_parts_slot_too(self, beat, monkeypatch):
        schedule = make_schedule()
        moments = []

        def fan_out(job, payload):
            moments.append(moment_of(job))
            if payload.label == "drill":
                enqueue(run_freely, {"label": "part"}, slot_id=job.slot_id)
                enqueue(run_freely, {"label": "part"}, slot_id=job.slot_id)

        monkeypatch.setattr(script, "run", fan_out)
        beat.pass_time(hours=1)
        beat.tick()
        run_enqueued_jobs()

        assert moments == [START + timedelta(hours=1)] * 3
        assert ledger(schedule) == ["13:00 ran"]
        assert proved(beat.now)


class TestTwoBeats:
    def test_write_a_slot_once(self, beat):
        schedules = [make_schedule(f"{n}", every=(1, "minutes")) for n in range(5)]
        for minute in range(1, 7):
            beat.now = START + timedelta(minutes=minute)
            others = [Clock(lambda: beat.now) for _ in range(2)]
            results = at_once(*(lambda each=each: each.tick(5) for each in others))
            assert [each for each in results if isinstance(each, Exception)] == []

            found = Slot.objects.filter(at=beat.now)
            assert found.count() == Job.objects.filter(slot__in=found).count() == 5
        assert Job.objects.count() == Slot.objects.count() == 30
        assert {anew(each).total_run_count for each in schedules} == {6}
        assert cron_alerts() == []

    def test_that_both_decide_a_slot_leave_one_run_even_without_the_lock(self, beat, monkeypatch):
        # Given two that hold no lock, and both see the slot before either has written it
        schedule = make_schedule()
        monkeypatch.setattr(
            firing, "lock_schedule", lambda pk, wait: PeriodicTask.objects.get(pk=pk)
        )
        monkeypatch.setattr(firing, "note_change", lambda pk: None)
        barrier, start = threading.Barrier(2), start_job

        def start_together(*args, **kwargs):
            barrier.wait(30)
            return start(*args, **kwargs)

        monkeypatch.setattr(firing, "start_job", start_together)
        beat.pass_time(hours=1)

        # When they write
        results = at_once(*[lambda: fire_due(schedule.pk, now=beat.now)] * 2)

        # Then the unique slot undoes one of them, its job included
        assert sorted(type(each).__name__ for each in results) == ["IntegrityError", "NoneType"]
        assert (ledger(schedule), Job.objects.count()) == (["13:00 ran"], 1)
        assert anew(schedule).total_run_count == 1

    def test_do_not_wait_for_each_other_and_the_second_takes_what_a_killed_one_had(self, beat):
        # Given a beat that has decided a slot and not committed
        schedule = make_schedule()
        beat.pass_time(hours=1)
        decided, ended = threading.Event(), threading.Event()
        pids = []

        def be_killed():
            with transaction.atomic():
                fire_due(schedule.pk, now=beat.now)
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_backend_pid()")
                    pids.append(cursor.fetchone()[0])
                decided.set()
                ended.wait(30)
                Slot.objects.count()

        def take_over():
            decided.wait(30)
            second = Clock(lambda: beat.now)
            # When another ticks, then it passes the schedule by
            assert second.tick(5) == AGAIN_SECONDS
            assert Slot.objects.count() == 0
            # And when the first is killed, then nothing of it is left, and the second decides
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s, 5000)", pids)
            ended.set()
            second.tick(5)

        killed, other = at_once(be_killed, take_over)

        assert isinstance(killed, OperationalError)
        assert other is None
        assert (ledger(schedule), Job.objects.count()) == (["13:00 ran"], 1)

    def test_of_which_one_knows_no_more_than_a_fresh_one(self, beat):
        schedule = make_schedule(every=(10, "minutes"))
        other = Clock(lambda: beat.now)
        for minute in range(10, 60, 10):
            beat.now = START + timedelta(minutes=minute)
            (beat.clock if minute % 20 else other).tick(5)
        assert ledger(schedule) == [f"12:{minute} ran" for minute in range(10, 60, 10)]


class TestASlotThatIsThereAlready:
    def test_is_not_doubled_and_holds_no_other_schedule(self, beat):
        first, second = make_schedule("first"), make_schedule("second")
        beat.pass_time(hours=1)
        Slot.objects.create(schedule=first, schedule_name="first", at=beat.now, outcome="ran")

        with pytest.raises(IntegrityError):
            fire_due(first.pk, now=beat.now)
        beat.tick()

        assert (len(jobs_of(first)), len(jobs_of(second))) == (0, 1)
        assert ledger(first) == ["13:00 ran"]

    def test_is_no_run_by_hand(self, beat):
        schedule = make_schedule()
        beat.pass_time(hours=1)
        columns = {"schedule_name": "nightly", "at": beat.now, "outcome": "ran"}
        Slot.objects.create(schedule=schedule, asked_by="ann", **columns)
        beat.tick()
        assert ledger(schedule) == ["13:00 ran"]


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


class TestADayWithoutBeat:
    @pytest.mark.parametrize(
        ("missed", "caught_up"),
        [("skip", []), ("run_once", [24]), ("run_all", list(range(1, 25)))],
    )
    def test_ends_by_the_policy(self, beat, missed, caught_up):
        schedule = make_schedule(policy={"missed": missed, "catch_up_seconds": 90_000})
        beat.tick()
        beat.pass_time(hours=24, minutes=30)
        beat.restart()
        beat.run(minutes=1)

        hours = [START + timedelta(hours=n) for n in caught_up]
        assert [job.slot.at for job in jobs_of(schedule)] == hours
        found = Slot.objects.filter(schedule=schedule)
        assert found.count() == 24
        assert found.filter(outcome="caught_up", missed=True).count() == len(caught_up)
        assert found.filter(outcome="policy", missed=True).count() == 24 - len(caught_up)
        assert proved(beat.now)
        # And the next slot is like any other
        beat.run(minutes=30)
        assert ledger(schedule)[-1] == "13:00 ran"

    def test_is_caught_up_in_order_and_at_the_schedules_own_rate(self, beat):
        rate = {"missed": "run_all", "catch_up_per_minute": 6, "catch_up_seconds": 90_000}
        schedule = make_schedule(policy=rate)
        beat.tick()
        beat.pass_time(hours=8, minutes=30)
        beat.restart()

        beat.run(seconds=35)
        assert Job.objects.count() == 4
        beat.run(minutes=1)

        slots = [job.slot for job in jobs_of(schedule)]
        assert [slot.at for slot in slots] == [START + timedelta(hours=n) for n in range(1, 9)]
        pauses = [after.decided_at - before.decided_at for before, after in pairwise(slots)]
        assert min(pauses) >= timedelta(seconds=10)
        assert max(pauses) <= timedelta(seconds=12)

    def test_lets_each_wait_for_its_predecessor_where_the_policy_says_so(self, beat):
        schedule = make_schedule(policy={"missed": "run_all", "overlap": "wait"})
        beat.tick()
        beat.pass_time(hours=3, minutes=30)
        beat.restart()
        for number in range(1, 4):
            beat.run(seconds=5)
            assert len(jobs_of(schedule)) == number
            assert Job.objects.live().count() == 1
            run_enqueued_jobs()
        beat.run(minutes=1)
        assert ledger(schedule) == [f"{hour}:00 caught_up" for hour in (13, 14, 15)]

    def test_lets_the_next_slot_stand_behind_those_that_are_caught_up(self, beat):
        slow = {"missed": "run_all", "overlap": "skip", "catch_up_per_minute": 6}
        schedule = make_schedule(policy=slow)
        beat.tick()
        beat.pass_time(hours=4, seconds=-15)
        beat.restart()
        for _ in range(6):
            beat.run(seconds=5)
            run_enqueued_jobs()

        assert ledger(schedule) == ["13:00 caught_up", "14:00 caught_up", "15:00 caught_up",
                                    "16:00 late"]  # fmt: skip
        assert [job.slot.at.hour for job in jobs_of(schedule)] == [13, 14, 15, 16]

    def test_is_caught_up_no_further_back_than_the_limit(self, beat):
        schedule = make_schedule(policy={"missed": "run_all", "catch_up_seconds": 3 * 3_600})
        beat.tick()
        beat.pass_time(hours=24, minutes=30)
        beat.restart()
        beat.run(minutes=1)
        assert [job.slot.at for job in jobs_of(schedule)] == [
            START + timedelta(hours=n) for n in (22, 23, 24)
        ]

    def test_lets_no_more_wait_than_the_limit(self, beat):
        schedule = make_schedule(policy={"missed": "run_all", "waiting_max": 5})
        beat.tick()
        beat.pass_time(hours=8, minutes=30)
        beat.restart()
        beat.run(minutes=1)
        assert ledger(schedule) == [
            *(f"{hour}:00 caught_up" for hour in range(13, 18)),
            *(f"{hour}:00 policy" for hour in range(18, 21)),
        ]

    def test_of_slots_a_second_is_written_in_several_transactions(self, beat):
        schedule = make_schedule(every=(1, "seconds"), policy={"missed": "skip"})
        beat.tick()
        beat.pass_time(hours=1)

        turns = 0
        fire_due(schedule.pk, now=beat.now)
        while covered(schedule) < beat.now:
            turns += 1
            assert Slot.objects.count() == turns * SLOTS_AT_ONCE
            assert covered(schedule) == START + timedelta(seconds=turns * SLOTS_AT_ONCE)
            fire_due(schedule.pk, now=beat.now)

        assert (turns, Slot.objects.count(), covered(schedule)) == (3, 3_600, beat.now)
        # The last minute is within its grace: it runs.
        assert Slot.objects.filter(outcome="policy").count() == 3_600 - 61
        assert proved(beat.now)

    def test_longer_than_the_ledger_reaches_back_makes_up_no_more_than_it_keeps(
        self, beat, settings
    ):
        settings.JOBS_SLOTS_KEEP_DAYS = 2
        schedule = make_schedule(policy={"missed": "skip"})
        beat.tick()
        beat.pass_time(days=10, minutes=30)
        beat.restart()
        beat.run(minutes=1)
        assert Slot.objects.filter(schedule=schedule).count() == 48
        assert proved(beat.now)

    def test_may_be_interrupted_anywhere(self, beat):
        # Given a beat that is restarted after every single tick
        schedule = make_schedule(policy={"missed": "run_all", "catch_up_per_minute": 600})
        beat.tick()
        beat.pass_time(hours=12, minutes=30)
        for _ in range(60):
            beat.restart()
            beat.pass_time(seconds=beat.tick(longest=5))
        assert [job.slot.at.hour for job in jobs_of(schedule)] == [
            *range(13, 24), 0
        ]  # fmt: skip


class TestAnOverlap:
    @pytest.fixture
    def busy(self, beat):
        def start(overlap, **policy):
            schedule = make_schedule(policy={"overlap": overlap, **policy})
            beat.run(hours=1)
            return schedule

        return start

    def test_is_allowed(self, beat, busy):
        schedule = busy("allow")
        beat.run(hours=1)
        assert ledger(schedule) == ["13:00 ran", "14:00 ran"]
        assert Job.objects.live().count() == 2

    def test_is_skipped(self, beat, busy):
        schedule = busy("skip")
        beat.run(hours=1)
        run_enqueued_jobs()
        beat.run(hours=1)
        assert ledger(schedule) == ["13:00 ran", "14:00 overlap", "15:00 ran"]
        assert len(jobs_of(schedule)) == 2

    def test_waits_and_follows_at_once(self, beat, busy):
        schedule = busy("wait")
        beat.run(hours=1)
        assert ledger(schedule) == ["13:00 ran", "14:00 waiting"]
        run_enqueued_jobs()
        beat.run(seconds=2)
        assert ledger(schedule) == ["13:00 ran", "14:00 late"]
        assert moment_of(jobs_of(schedule)[-1]).hour == 14

    def test_lets_no_more_wait_than_the_limit(self, beat, busy):
        schedule = busy("wait", waiting_max=2)
        for _ in range(3):
            beat.pass_time(hours=1)
            beat.tick()
        assert ledger(schedule)[1:] == ["14:00 waiting", "15:00 waiting", "16:00 overlap"]

    @pytest.mark.parametrize("state", ["waiting", "queued", "running", "retrying"])
    def test_is_one_while_a_job_is_live_in_any_state(self, beat, busy, state):
        schedule = busy("skip")
        Job.objects.update(state=state)
        beat.run(hours=1)
        assert ledger(schedule)[-1] == "14:00 overlap"

    @pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
    def test_is_none_once_it_has_settled(self, beat, busy, state):
        schedule = busy("skip")
        Job.objects.update(state=state)
        beat.run(hours=1)
        assert ledger(schedule)[-1] == "14:00 ran"

    @pytest.mark.parametrize(("overlap", "outcome"), [("skip", "overlap"), ("wait", "waiting")])
    def test_is_one_while_a_part_is_live(self, beat, busy, overlap, outcome):
        # Given a job that has succeeded, after it enqueued a part that has not
        schedule = busy(overlap)
        [job] = jobs_of(schedule)
        part = enqueue(run_freely, {}, slot_id=job.slot_id)
        Job.objects.filter(pk=job.pk).update(state=JobState.SUCCEEDED)

        beat.run(hours=1)
        assert ledger(schedule)[-1] == f"14:00 {outcome}"

        Job.objects.filter(pk=part.pk).update(state=JobState.SUCCEEDED)
        beat.run(seconds=2)
        run_enqueued_jobs()
        beat.run(hours=1)
        assert ledger(schedule)[-1] == "15:00 ran"

    def test_is_no_matter_of_other_schedules(self, beat, busy):
        busy("skip")
        other = make_schedule("other", policy={"overlap": "skip"})
        beat.run(hours=1)
        assert ledger(other) == ["14:00 ran"]

    def test_is_not_wanted_any_more_where_the_schedule_is_disabled(self, beat, busy):
        schedule = busy("wait")
        beat.run(hours=1)
        switch_schedule(schedule_id=schedule.pk, enabled=False, by="ann")
        run_enqueued_jobs()
        beat.run(minutes=1)
        assert ledger(schedule) == ["13:00 ran", "14:00 policy"]
        assert "disabled while the slot waited" in Slot.objects.get(outcome="policy").error


class TestAPause:
    def test_skips_slots_until_it_ends(self, beat):
        schedule = make_schedule()
        until = START + timedelta(hours=2, minutes=30)
        pause_schedule(schedule_id=schedule.pk, until=until, by="ann")
        beat.run(hours=3)
        assert ledger(schedule) == ["13:00 pause", "14:00 pause", "15:00 ran"]
        assert proved(beat.now)

    def test_holds_back_what_waits_to_be_caught_up(self, beat):
        schedule = make_schedule(policy={"missed": "run_all"})
        beat.tick()
        beat.pass_time(hours=3, minutes=30)
        beat.restart()
        beat.tick()
        pause_schedule(schedule_id=schedule.pk, until=beat.now + timedelta(hours=1), by="ann")
        beat.run(seconds=20)
        assert ledger(schedule) == ["13:00 caught_up", "14:00 waiting", "15:00 waiting"]

        resume_schedule(schedule_id=schedule.pk, by="ann")
        beat.run(seconds=5)
        assert ledger(schedule) == ["13:00 caught_up", "14:00 caught_up", "15:00 caught_up"]

    def test_of_the_newest_lets_the_one_before_run_for_all_missed(self, beat):
        schedule = make_schedule(policy={"missed": "run_once"})
        beat.tick()
        beat.pass_time(hours=3, minutes=30)
        pause_schedule(schedule_id=schedule.pk, until=beat.now + timedelta(hours=1), by="ann")
        beat.pass_time(minutes=45)
        beat.restart()
        beat.run(seconds=5)
        assert ledger(schedule) == ["13:00 policy", "14:00 policy", "15:00 waiting", "16:00 pause"]

        resume_schedule(schedule_id=schedule.pk, by="ann")
        beat.run(seconds=5)
        assert ledger(schedule)[2] == "15:00 caught_up"

    def test_is_ended_earlier_and_what_it_skipped_stays_skipped(self, beat):
        schedule = make_schedule(policy={"missed": "run_all"})
        pause_schedule(schedule_id=schedule.pk, until=START + timedelta(days=1), by="ann")
        beat.run(hours=1, minutes=30)
        resume_schedule(schedule_id=schedule.pk, by="ann")
        beat.run(hours=1)
        assert ledger(schedule) == ["13:00 pause", "14:00 ran"]

    def test_leaves_what_was_due_before_it(self, beat):
        # Given slots that no beat was there for, and a pause after them
        schedule = make_schedule(policy={"missed": "run_all"})
        beat.tick()
        beat.pass_time(hours=1, minutes=30)
        pause_schedule(schedule_id=schedule.pk, until=beat.now + timedelta(hours=1), by="ann")
        beat.pass_time(hours=1, minutes=20)
        beat.restart()
        beat.run(minutes=1)
        assert ledger(schedule) == ["13:00 caught_up", "14:00 pause"]


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


class TestTheJob:
    def test_has_the_schedules_priority_headers_and_expiry(self, beat):
        schedule = make_schedule(
            priority=7, headers='{"origin": "cron"}', expire_seconds=600, queue="jobs"
        )
        beat.run(hours=1)
        [job] = jobs_of(schedule)
        assert job.message_options == {
            "priority": 7,
            "headers": {"origin": "cron", "periodic_task_name": "nightly"},
        }
        assert job.expires_at == START + timedelta(hours=1, seconds=600)

    def test_expires_with_its_schedule(self, beat):
        end = START + timedelta(hours=3)
        schedule = make_schedule(expires=end)
        beat.run(hours=1)
        assert jobs_of(schedule)[0].expires_at == end

    def test_of_a_plain_celery_task_is_a_call_of_it(self, beat, monkeypatch):
        sent = []
        monkeypatch.setattr(
            "jobs.schedules.tasks.current_app.send_task",
            lambda name, **options: sent.append((name, options)),
        )
        schedule = make_schedule(
            task="celery.backend_cleanup",
            args="[1]",
            kwargs='{"a": 2}',
            queue="exports",
            priority=3,
        )
        beat.run(hours=1)
        [job] = run_enqueued_jobs()

        [(name, options)] = sent
        assert (job.type, job.state) == ("schedules.call_plain_task", "succeeded")
        assert name == "celery.backend_cleanup"
        assert (options["args"], options["kwargs"]) == ([1], {"a": 2})
        assert (options["queue"], options["priority"]) == ("exports", 3)
        assert options["mandatory"] is True
        assert options["headers"] == {"periodic_task_name": "nightly"}
        assert options["task_id"] != str(job.pk)
        assert ledger(schedule) == ["13:00 ran"]


class TestWhatCelerysBeatGetsWrong:
    def test_a_daily_job_that_was_missed_hours_ago_is_decided(self, beat):
        # django-celery-beat loads no schedule whose hour is not within two of now.
        schedule = make_schedule(cron="0 13 * * *")
        beat.tick()
        beat.pass_time(hours=9)
        beat.restart()
        beat.run(minutes=1)
        assert ledger(schedule) == ["13:00 caught_up"]

    @pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York", "Pacific/Auckland"])
    def test_no_job_comes_early_for_its_zone(self, beat, zone):
        schedule = make_schedule(cron="30 9 * * *", zone=zone)
        beat.run(days=2)
        slots = Slot.objects.filter(schedule=schedule).order_by("at")
        assert slots.count() == 2
        for slot in slots:
            assert f"{slot.at.astimezone(anew(schedule).crontab.timezone):%H:%M}" == "09:30"
            assert timedelta(0) <= slot.decided_at - slot.at <= timedelta(seconds=1)

    def test_a_weekly_interval_survives_restarts(self, beat):
        # Beat counts from its own start, where last_run_at says nothing: a deploy a day, no run.
        schedule = make_schedule(every=(7, "days"))
        for _ in range(15):
            beat.restart()
            beat.run(days=1)
        assert len(ledger(schedule)) == 2
        first, second = Slot.objects.order_by("at")
        assert second.at - first.at == timedelta(days=7)

    def test_an_enabled_job_does_not_run_at_once(self, beat):
        schedule = make_schedule(cron="0 3 * * *", enabled=False, last_run_at=None)
        beat.run(days=2)
        switch_schedule(schedule_id=schedule.pk, enabled=True, by="ann")
        beat.run(hours=1)
        assert ledger(schedule) == []
        schedule.enabled = False
        schedule.save()
        schedule.enabled = True
        schedule.save()  # As its own admin does.
        beat.run(hours=1)
        assert (ledger(schedule), anew(schedule).last_run_at) == ([], None)

    def test_a_new_job_without_a_last_run_waits_for_its_time(self, beat):
        schedule = make_schedule(every=(1, "days"))
        beat.run(hours=11, minutes=59)
        assert ledger(schedule) == []
        beat.run(minutes=1)
        assert ledger(schedule) == ["00:00 ran"]

    def test_the_nights_on_which_clocks_change_have_one_run_each(self, beat):
        beat.now = datetime(2035, 3, 24, 12, tzinfo=UTC)
        schedule = make_schedule(cron="30 2 * * *", zone="Europe/Berlin")
        beat.run(days=2)
        assert ledger(schedule, "%d %H:%M") == ["25 01:00 ran", "26 00:30 ran"]

        beat.now = datetime(2035, 10, 27, 12, tzinfo=UTC)
        again = make_schedule("again", cron="30 2 * * *", zone="Europe/Berlin")
        beat.run(days=2)
        assert ledger(again, "%d %H:%M") == ["28 00:30 ran", "29 01:30 ran"]

    def test_a_total_of_runs_and_the_last_are_kept_for_its_admin(self, beat):
        schedule = make_schedule()
        beat.run(hours=3)
        assert anew(schedule).total_run_count == 3
        assert anew(schedule).last_run_at == START + timedelta(hours=3)


class TestRetries:
    def test_of_a_slots_job_are_the_jobs_own(self, beat, monkeypatch):
        # Given a job that fails twice
        def run(job, payload):
            if job.attempt < 3:
                raise RuntimeError("not yet")

        monkeypatch.setattr(script, "run", run)
        schedule = make_schedule()
        beat.run(hours=1)
        [job] = run_enqueued_jobs()

        # Then its slot has run, and nobody is told
        assert (fresh(job).state, fresh(job).failures) == ("succeeded", 2)
        assert (ledger(schedule), cron_alerts()) == (["13:00 ran"], [])

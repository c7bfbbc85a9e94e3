"""Slots become jobs: once, whatever the beats do, and as Celery's own beat does not."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, OperationalError, connection, transaction
from django_celery_beat.models import PeriodicTask

from jobs import enqueue
from jobs.models import Job, Slot
from jobs.schedules import firing
from jobs.schedules.clock import AGAIN_SECONDS, Clock
from jobs.schedules.firing import fire_due
from jobs.schedules.moments import moment_of
from jobs.schedules.operations import (
    switch_schedule,
)
from jobs.schedules.starting import start_job
from jobs.testing import run_enqueued_jobs
from tests.deliveries import at_once
from tests.drills import fresh, run_freely, script
from tests.schedules import (
    START,
    anew,
    covered,
    cron_alerts,
    jobs_of,
    ledger,
    make_schedule,
    proved,
    set_policy,
)

pytestmark = pytest.mark.django_db(transaction=True)


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

"""A schedule that can't be run is disabled with its reason, told of once, and holds no other."""

import json

import pytest
from django.db import connection
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask

from jobs import enqueue
from jobs.errors import GiveUp
from jobs.models import Alert, Job, ScheduleCursor, SchedulePolicy, Slot
from jobs.schedules import alerts, clock, firing
from jobs.schedules.operations import switch_schedule
from jobs.states import AlertKind
from jobs.testing import run_enqueued_jobs
from tests.drills import run_atomic, run_freely, script
from tests.schedules import (
    anew,
    changes_of,
    cron_alerts,
    ledger,
    make_crontab,
    make_schedule,
    proved,
    why_disabled,
)

pytestmark = pytest.mark.django_db(transaction=True)


def columns(**changes):
    """Return what spoils a schedule by `queryset.update`, past every check."""
    return lambda schedule: PeriodicTask.objects.filter(pk=schedule.pk).update(**changes)


def crontab(**changes):
    return lambda schedule: CrontabSchedule.objects.filter(pk=schedule.crontab_id).update(**changes)


def interval(**changes):
    times = {"every": 5, "period": "minutes"}

    def spoil(schedule):
        row = IntervalSchedule.objects.create(**times)
        columns(crontab=None, interval=row)(schedule)
        IntervalSchedule.objects.filter(pk=row.pk).update(**changes)

    return spoil


def policy(**changes):
    return lambda schedule: SchedulePolicy.objects.filter(pk=schedule.pk).update(**changes)


BROKEN = {
    "args that are no JSON": (columns(args="["), "args: not JSON"),
    "args that are no list": (columns(args="{}"), "args: not JSON of a list"),
    "args of a job": (columns(args="[1]"), "args: a job's payload is keyword arguments alone"),
    "kwargs that are no JSON": (columns(kwargs="{'a': 1}"), "kwargs: not JSON"),
    "kwargs that are no object": (columns(kwargs="[1]"), "kwargs: not JSON of an object"),
    "kwargs nested too deeply": (columns(kwargs='{"a":' * 9_999), "kwargs: not JSON"),
    "headers that are no JSON": (columns(headers="x"), "headers: not JSON"),
    "headers that are no object": (columns(headers="7"), "headers: not JSON of an object"),
    "headers that are too long": (
        columns(headers=f'{{"a": "{"x" * 70_000}"}}'),
        "headers: at most",
    ),
    "a payload that doesn't fit": (
        columns(kwargs='{"label": 7}'),
        "label: Input should be a valid",
    ),
    "a payload that is too long": (
        columns(kwargs=f'{{"label": "{"x" * 70_000}"}}'),
        "at most 65536",
    ),
    "a payload with a NUL": (columns(kwargs='{"label": "\\u0000"}'), "label: holds a NUL"),
    "an exchange": (
        columns(exchange="other"),
        "exchange: a job is sent to its type's lane, 'jobs'",
    ),
    "a routing key": (columns(routing_key="other"), "routing_key: a job is sent to"),
    "another queue": (columns(queue="exports"), "queue: jobs of drills.run_atomic go to the lane"),
    "a priority of no message": (
        columns(priority=300),
        "priority: 300 is not a number from 0 to 255",
    ),
    "a minute that is none": (crontab(minute="99"), "crontab '99 * * * *'"),
    "a crontab that is none": (crontab(hour="soon"), "crontab '0 soon * * *'"),
    "a crontab of too many fields": (crontab(day_of_week="* *"), "crontab"),
    "a day that is none": (crontab(day_of_month="31", month_of_year="2"), "never occurs"),
    "an interval under a second": (interval(period="microseconds"), "the shortest is one second"),
    "an interval of nothing": (interval(every=0), "the shortest is one second"),
    "an interval of no period": (interval(period="fortnights"), "interval '5 fortnights'"),
    "no times": (columns(crontab=None), "no crontab, interval or clocked time"),
    "a rate of nothing": (policy(catch_up_per_minute=0), "catch_up_per_minute: at least 1"),
}

broken = pytest.mark.parametrize(("spoil", "reason"), BROKEN.values(), ids=list(BROKEN))


class TestABrokenSchedule:
    @broken
    def test_is_disabled_and_told_of_once_while_the_others_tick_on(self, beat, spoil, reason):
        # Given one that is spoilt after its slot's time, and another
        schedule, other = make_schedule("broken"), make_schedule("other")
        beat.tick()
        beat.pass_time(hours=1)
        spoil(schedule)

        beat.run(hours=1)

        # Then its slot has failed with the reason, and it has no more
        assert reason in why_disabled(schedule)
        assert ledger(schedule) == ["13:00 failed"]
        assert reason in Slot.objects.get(schedule=schedule).error
        [alert] = cron_alerts()
        assert (alert["type"], alert["task"]) == ("cron_failure", "drills.run_atomic")
        assert reason in alert["error"]
        assert alert["cron"]
        by, changes = changes_of(schedule)[-1]
        assert (by, changes) == ("beat", {"enabled": [True, False]})
        # And nothing else has changed
        assert ledger(other) == ["13:00 ran", "14:00 ran"]
        assert proved(beat.now)

    @broken
    def test_that_was_so_before_its_time_is_found_at_once(self, beat, spoil, reason):
        schedule = make_schedule()
        beat.tick()
        spoil(schedule)
        beat.run(seconds=5)
        assert reason in why_disabled(schedule)
        assert len(cron_alerts()) == 1

    def test_is_fit_again_once_it_is_mended_and_enabled(self, beat):
        schedule = make_schedule(kwargs="{", enabled=True)
        beat.run(hours=1)
        assert why_disabled(schedule)
        schedule = anew(schedule)
        schedule.kwargs, schedule.enabled = "{}", True
        schedule.save()
        beat.run(hours=1)
        assert ledger(schedule) == ["13:00 failed", "14:00 ran"]
        assert schedule.cursor.disabled_reason == ""

    def test_is_not_enabled_as_it_stands(self, beat):
        schedule = make_schedule(kwargs="{")
        beat.run(hours=1)
        with pytest.raises(ValueError, match="kwargs: not JSON"):
            switch_schedule(schedule_id=schedule.pk, enabled=True, by="ann")
        assert not anew(schedule).enabled

    def test_has_all_its_slots_in_the_ledger_though_they_are_many(self, beat):
        schedule = make_schedule(every=(1, "seconds"))
        beat.tick()
        beat.pass_time(seconds=2_500)
        columns(kwargs="{")(schedule)
        beat.restart()
        beat.run(minutes=1)
        assert Slot.objects.filter(outcome="failed").count() == 2_500
        assert len(cron_alerts()) == 1
        assert proved(beat.now)

    def test_of_a_zone_that_this_machine_does_not_know_holds_no_other(self, beat):
        # Given a zone that only a newer table of zones has, which no model can read any more
        schedule, other = make_schedule("broken"), make_schedule("other")
        beat.tick()
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE django_celery_beat_crontabschedule SET timezone = 'Mars/Olympus' "
                "WHERE id = %s", [schedule.crontab_id],
            )  # fmt: skip
        beat.pass_time(hours=1)
        beat.tick()
        beat.tick()

        assert ledger(other) == ["13:00 ran"]
        [alert] = Alert.objects.filter(kind=AlertKind.CRON_FAILURE)
        assert "Mars/Olympus" in alert.data["error"]
        # And it is disabled with the reason
        assert PeriodicTask.objects.filter(enabled=True).get() == other
        assert "Mars/Olympus" in ScheduleCursor.objects.get(schedule=schedule).disabled_reason


class TestAnUnknownTask:
    def test_is_waited_for_while_a_deploy_may_bring_it(self, beat, settings, monkeypatch):
        # Given a schedule that a new release wrote, and a beat of the old one
        schedule = make_schedule(task="drills.next_release", cron="*/5 * * * *")
        beat.tick()
        beat.pass_time(minutes=9)
        waits = [beat.tick() for _ in range(3)]
        assert (ledger(schedule), anew(schedule).enabled) == ([], True)
        assert waits[1:] == [clock.PATIENCE_SECONDS] * 2

        # When the new beat, which knows the task, ticks
        PeriodicTask.objects.filter(pk=schedule.pk).update(task=run_atomic.name)
        beat.restart()
        beat.run(seconds=5)

        # Then the slot is decided
        assert [each.split()[0] for each in ledger(schedule)] == ["12:05"]
        assert cron_alerts() == []

    def test_is_disabled_after_that(self, beat, settings):
        schedule = make_schedule(task="drills.forgotten", cron="*/5 * * * *")
        beat.tick()
        beat.pass_time(seconds=settings.JOBS_UNKNOWN_TYPE_SECONDS - 1)
        beat.tick()
        assert anew(schedule).enabled
        beat.run(seconds=5)
        assert "No job type is named 'drills.forgotten'" in why_disabled(schedule)
        assert ledger(schedule) == ["12:05 failed", "12:10 failed"]
        assert len(cron_alerts()) == 1

    @pytest.mark.parametrize("saved", ["changed", "created"])
    def test_past_djangos_signals_has_the_same_time(self, beat, settings, saved):
        if saved == "created":
            row = PeriodicTask(
                name="new", task="drills.forgotten", crontab=make_crontab("*/5 * * * *")
            )
            PeriodicTask.objects.bulk_create([row])
            schedule = PeriodicTask.objects.get()
        else:
            schedule = make_schedule(cron="*/5 * * * *")
            beat.run(minutes=30)
            columns(task="drills.forgotten")(schedule)
        beat.tick()
        beat.pass_time(seconds=settings.JOBS_UNKNOWN_TYPE_SECONDS - 5)
        assert [beat.tick() for _ in range(2)][-1] >= clock.PATIENCE_SECONDS
        assert anew(schedule).enabled
        beat.run(seconds=10)
        assert "drills.forgotten" in why_disabled(schedule)


class TestAJobOfASlot:
    def test_that_fails_for_good_shows_its_slot_as_failed_and_is_told_of(self, beat, monkeypatch):
        def fail(job, payload):
            raise GiveUp("the disk is full")

        monkeypatch.setattr(script, "run", fail)
        schedule = make_schedule()
        beat.run(hours=1)
        run_enqueued_jobs(raise_errors=False)

        assert ledger(schedule) == ["13:00 failed"]
        assert "the disk is full" in Slot.objects.get().error
        [alert] = cron_alerts()
        assert (alert["type"], alert["cron"], alert["task"]) == (
            "cron_failure", "0 * * * *", "drills.run_atomic",
        )  # fmt: skip
        assert "the disk is full" in alert["error"]
        assert anew(schedule).enabled

    def test_whose_part_fails_names_the_part(self, beat, monkeypatch):
        def run(job, payload):
            if payload.label == "part":
                raise GiveUp("one of them")
            enqueue(run_freely, {"label": "part"}, slot_id=job.slot_id)

        monkeypatch.setattr(script, "run", run)
        schedule = make_schedule()
        beat.run(hours=1)
        run_enqueued_jobs(raise_errors=False)

        assert {job.state for job in Job.objects.filter(type__startswith="drills")} == {
            "succeeded", "failed",
        }  # fmt: skip
        assert ledger(schedule) == ["13:00 failed"]
        assert Slot.objects.get().error.startswith("drills.run_freely: ")
        [alert] = cron_alerts()
        assert alert["task"] == "drills.run_freely"

    def test_that_fails_again_is_not_told_of_again_within_the_interval(self, beat, monkeypatch):
        def fail(job, payload):
            raise GiveUp("again")

        monkeypatch.setattr(script, "run", fail)
        make_schedule()
        for _ in range(3):
            beat.run(hours=1)
            run_enqueued_jobs(raise_errors=False)
        assert Slot.objects.filter(outcome="failed").count() == 3
        assert len(cron_alerts()) == 1

    def test_of_no_schedule_is_no_matter_of_schedules(self, beat, monkeypatch):
        def fail(job, payload):
            raise GiveUp("alone")

        monkeypatch.setattr(script, "run", fail)
        enqueue(run_atomic, {})
        run_enqueued_jobs(raise_errors=False)
        assert cron_alerts() == []


class TestAFaultOfOurs:
    @pytest.mark.parametrize("saved", ["by save", "past signals"])
    def test_in_one_schedule_is_told_of_once_and_holds_no_other(self, beat, monkeypatch, saved):
        if saved == "by save":
            schedule = make_schedule("first")
        else:
            row = PeriodicTask(
                name="first", task=run_atomic.name, crontab=make_crontab("0 * * * *")
            )
            PeriodicTask.objects.bulk_create([row])
            schedule = PeriodicTask.objects.get()
        other = make_schedule("second")
        fire = firing.fire_due

        def fail(schedule_id, *, now):
            if schedule_id == schedule.pk:
                raise ZeroDivisionError("nobody thought of this")
            return fire(schedule_id, now=now)

        monkeypatch.setattr(clock, "fire_due", fail)
        beat.run(seconds=2)
        beat.pass_time(hours=1)
        waits = [beat.tick() for _ in range(3)]

        assert ledger(other)[0].startswith("13:00")
        [alert] = cron_alerts()
        assert alert["error"] == "ZeroDivisionError: nobody thought of this"
        assert waits[-1] == clock.PATIENCE_SECONDS
        # And it is made good once the fault is gone
        monkeypatch.setattr(clock, "fire_due", fire)
        beat.restart()
        beat.run(seconds=5)
        assert anew(schedule).enabled
        assert (ledger(schedule)[-1:] or ["13:00 new"])[0].startswith("13:00")

    def test_in_the_alert_itself_holds_no_other(self, beat, monkeypatch):
        schedule, other = make_schedule("first"), make_schedule("second")
        fire = firing.fire_due

        def fail(schedule_id, *, now):
            if schedule_id == schedule.pk:
                raise ZeroDivisionError
            return fire(schedule_id, now=now)

        def fail_too(*_, **__):
            raise RuntimeError("no alert")

        monkeypatch.setattr(clock, "fire_due", fail)
        monkeypatch.setattr(alerts, "alert_of_schedule", fail_too)
        beat.pass_time(hours=1)
        beat.tick()
        assert ledger(other) == ["13:00 ran"]


def test_a_reason_is_text_that_json_can_hold(beat):
    # The alert's data is JSON: a reason with what PostgreSQL refuses would hold the alert back.
    schedule = make_schedule()
    columns(kwargs=json.dumps({"label": ["\x01", "\ud800"]}))(schedule)
    beat.run(hours=1, seconds=1)
    assert why_disabled(schedule)
    assert len(cron_alerts()) == 1

"""Every change of a schedule is kept, with who made it: the ledger is judged by it."""

from datetime import datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import transaction
from django_celery_beat.models import CrontabSchedule, PeriodicTask, SolarSchedule

from jobs.models import ScheduleCursor, SchedulePolicy, ScheduleRevision
from jobs.schedules.definitions import DELETED
from jobs.schedules.operations import pause_schedule, resume_schedule, switch_schedule
from jobs.schedules.revisions import changed_by, definitions_since, note_change
from tests.deliveries import at_once
from tests.schedules import (
    START,
    changes_of,
    ledger,
    make_crontab,
    make_schedule,
    proved,
    set_policy,
)

pytestmark = pytest.mark.django_db(transaction=True)


def newest(schedule):
    return changes_of(schedule)[-1]


def revisions(schedule):
    return ScheduleRevision.objects.filter(schedule=schedule).order_by("from_at", "id")


class TestAChange:
    def test_is_kept_with_who_made_it_and_what_was_before(self, beat):
        schedule = make_schedule()
        beat.pass_time(minutes=5)
        with changed_by("ann@example.com"):
            schedule.kwargs = '{"label": "new"}'
            schedule.crontab = make_crontab("30 4 * * *", "Asia/Tokyo")
            schedule.save()

        assert newest(schedule) == (
            "ann@example.com",
            {
                "crontab": ["0 * * * *", "30 4 * * *"],
                "kwargs": ["{}", '{"label": "new"}'],
                "timezone": ["UTC", "Asia/Tokyo"],
            },
        )
        assert revisions(schedule).last().from_at == beat.now

    def test_by_nobody_in_particular_is_a_programs(self, beat):
        schedule = make_schedule()
        assert newest(schedule)[0] == "a program"
        with changed_by("ann"):
            pass
        schedule.description = "new"
        schedule.save()
        assert newest(schedule)[0] == "a program"

    def test_names_the_inner_of_two_and_is_known_after_an_error(self, beat):
        schedule = make_schedule()
        with changed_by("outer"):
            with pytest.raises(ValueError, match="x"), changed_by("inner"):  # noqa: PT012
                raise ValueError("x")
            schedule.description = "new"
            schedule.save()
        assert newest(schedule)[0] == "outer"

    def test_of_a_new_schedule_is_its_first_alone(self, beat):
        with changed_by("ann"):
            schedule = make_schedule()
        [(by, changes)] = changes_of(schedule)
        assert by == "ann"
        assert changes["crontab"] == [None, "0 * * * *"]
        assert changes["missed"] == [None, "run_once"]

    @pytest.mark.parametrize(
        ("field", "value"),
        [("name", "other"), ("task", "x.y"), ("args", "[1]"), ("headers", '{"a": 1}'),
         ("priority", 3), ("queue", "exports"), ("exchange", "e"), ("routing_key", "r"),
         ("expire_seconds", 5), ("enabled", False), ("one_off", True), ("description", "d"),
         ("start_time", START), ("expires", START)],
    )  # fmt: skip
    def test_of_every_field_is_one(self, beat, field, value):
        schedule = make_schedule()
        setattr(schedule, field, value)
        schedule.save()
        assert list(newest(schedule)[1]) == [field]

    @pytest.mark.parametrize(
        ("field", "value"),
        [("missed", "skip"), ("overlap", "wait"), ("grace_seconds", 5), ("catch_up_seconds", 5),
         ("catch_up_per_minute", 5), ("waiting_max", 5), ("paused_until", START)],
    )  # fmt: skip
    def test_of_a_policy_is_one_of_its_schedule(self, beat, field, value):
        schedule = make_schedule()
        set_policy(schedule, **{field: value})
        assert list(newest(schedule)[1]) == [field]

    def test_that_changes_nothing_is_none(self, beat):
        schedule = make_schedule()
        schedule.save()
        schedule.policy.save()
        schedule.crontab.save()
        assert note_change(schedule.pk) is None
        beat.run(hours=2)  # Nor are its runs: they are the ledger's.
        assert len(changes_of(schedule)) == 1

    def test_that_is_written_in_another_way_is_none(self, beat):
        schedule = make_schedule(cron="1,2 * * * *")
        CrontabSchedule.objects.filter(pk=schedule.crontab_id).update(minute="1, 2")
        assert note_change(schedule.pk) is None

    def test_of_a_shared_crontab_is_one_of_each_that_uses_it(self, beat):
        first, other = make_schedule("first"), make_schedule("other")
        second = PeriodicTask.objects.create(name="second", task="x", crontab=first.crontab)
        with changed_by("ann"):
            first.crontab.minute = "30"
            first.crontab.save()
        for schedule in (first, second):
            assert newest(schedule) == ("ann", {"crontab": ["0 * * * *", "30 * * * *"]})
        assert len(changes_of(other)) == 1

    def test_of_an_interval_or_a_clocked_time_is_one(self, beat):
        every = make_schedule("every", every=(5, "minutes"))
        every.interval.every = 7
        every.interval.save()
        assert newest(every)[1] == {"interval": ["5 minutes", "7 minutes"]}

        once = make_schedule("once", clocked=START)
        once.clocked.clocked_time = START + timedelta(hours=1)
        once.clocked.save()
        assert newest(once)[1] == {
            "clocked": [START.isoformat(), (START + timedelta(hours=1)).isoformat()]
        }

    def test_by_operations_names_the_person(self, beat):
        schedule = make_schedule()
        until = START + timedelta(hours=1)
        switch_schedule(schedule_id=schedule.pk, enabled=False, by="ann")
        pause_schedule(schedule_id=schedule.pk, until=until, by="bob")
        resume_schedule(schedule_id=schedule.pk, by="cid")
        assert [(by, list(changes)) for by, changes in changes_of(schedule)[1:]] == [
            ("ann", ["enabled"]), ("bob", ["paused_until"]), ("cid", ["paused_until"]),
        ]  # fmt: skip

    def test_that_is_rolled_back_leaves_nothing(self, beat):
        schedule = make_schedule()
        with transaction.atomic():
            switch_schedule(schedule_id=schedule.pk, enabled=False, by="ann")
            transaction.set_rollback(True)
        assert len(changes_of(schedule)) == 1

    def test_twice_at_once_has_two_in_the_order_of_their_commits(self, beat):
        schedule = make_schedule()

        def switch():
            switch_schedule(schedule_id=schedule.pk, enabled=False, by="ann")

        assert at_once(switch, switch, switch) == [None] * 3
        assert newest(schedule)[1] == {"enabled": [True, False]}
        assert len(changes_of(schedule)) == 2

    def test_is_in_force_from_where_the_ledger_is_complete(self, beat):
        # Given a beat that decided slots by a clock a little ahead
        schedule = make_schedule()
        ahead = START + timedelta(minutes=2)
        ScheduleCursor.objects.update(covered_until=ahead)
        schedule.description = "new"
        schedule.save()
        assert revisions(schedule).last().from_at == ahead

    def test_clears_why_beat_had_disabled_it(self, beat):
        schedule = make_schedule(enabled=False)
        ScheduleCursor.objects.update(disabled_reason="kwargs: not JSON")
        schedule.description = "still off"
        schedule.save()
        assert ScheduleCursor.objects.get().disabled_reason
        schedule.enabled = True
        schedule.save()
        assert ScheduleCursor.objects.get().disabled_reason == ""


class TestADeletion:
    @pytest.mark.parametrize("how", ["delete", "queryset", "its crontab"])
    def test_is_kept_with_who_did_it(self, beat, how):
        schedule = make_schedule()
        beat.run(hours=1, minutes=30)
        pk = schedule.pk
        with changed_by("ann"):
            if how == "delete":
                PeriodicTask.objects.get().delete()
            elif how == "queryset":
                PeriodicTask.objects.all().delete()
            else:
                CrontabSchedule.objects.all().delete()

        last = ScheduleRevision.objects.filter(schedule_id=pk).latest("from_at", "id")
        assert (last.by, last.schedule_name) == ("ann", "nightly")
        assert last.definition.items() >= DELETED.items()
        assert last.changes == {"deleted": [False, True]}
        assert not SchedulePolicy.objects.exists()
        # Its slots stay, and are proved.
        schedule.pk = pk
        assert ledger(schedule) == ["13:00 ran"]
        beat.run(hours=2)
        assert proved(beat.now)

    def test_while_beat_is_down_leaves_no_gap(self, beat):
        make_schedule()
        beat.run(hours=1)
        beat.pass_time(hours=2, minutes=30)
        PeriodicTask.objects.get().delete()
        beat.pass_time(hours=2)
        beat.restart()
        beat.tick()
        assert proved(beat.now)


class TestDefinitionsSince:
    def test_begin_with_the_one_in_force_at_the_moment(self, beat):
        schedule = make_schedule()
        moments = [beat.now]
        for number in range(3):
            beat.pass_time(hours=1)
            schedule.expires = START + timedelta(days=number)
            schedule.save()
            moments.append(beat.now)

        def since(moment):
            return days_of(definitions_since(schedule.pk, moment))

        assert since(moments[0] - timedelta(days=1)) == [None, 1, 2, 3]
        assert since(moments[1]) == [1, 2, 3]
        assert since(moments[1] + timedelta(minutes=1)) == [1, 2, 3]
        assert since(moments[3] + timedelta(days=9)) == [3]

    def test_of_two_at_one_moment_end_with_the_last(self, beat):
        schedule = make_schedule()
        for number in range(2):
            schedule.expires = START + timedelta(days=number)
            schedule.save()
        assert days_of(definitions_since(schedule.pk, beat.now)) == [2]

    def test_begin_nothing_anew_where_no_times_were_changed(self, beat):
        schedule = make_schedule()
        begun = beat.now
        beat.pass_time(hours=1)
        schedule.description = "Another."
        schedule.save()
        [(from_at, _)] = definitions_since(schedule.pk, beat.now)
        assert from_at == begun


def days_of(found):
    """Return on which day of the month each definition expires."""
    moments = [definition["expires"] for _, definition in found]
    return [moment and datetime.fromisoformat(moment).day for moment in moments]


class TestASolarSchedule:
    def test_is_refused_when_it_is_saved(self, beat):
        sun = SolarSchedule.objects.create(event="sunrise", latitude=52.5, longitude=13.4)
        with pytest.raises(ValidationError, match="solar schedule can't be kept"):
            PeriodicTask.objects.create(name="sun", task="drills.run_atomic", solar=sun)
        assert not PeriodicTask.objects.exists()


class TestAFixture:
    def test_is_loaded_as_it_is(self, beat, tmp_path):
        # Given raw rows, which say nothing of the present
        make_schedule()
        dump = tmp_path / "schedules.json"
        call_command("dumpdata", "django_celery_beat", "jobs", output=str(dump))
        before = list(ScheduleRevision.objects.values())
        call_command("loaddata", str(dump), verbosity=0)
        assert list(ScheduleRevision.objects.values()) == before

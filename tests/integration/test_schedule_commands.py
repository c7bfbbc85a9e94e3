"""`manage.py sync_schedules, list_schedules, trigger_schedule, verify_slots`."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from jobs.management.commands import verify_slots as verify_command
from jobs.models import Job, ScheduleCursor, SchedulePolicy, ScheduleRevision, Slot
from jobs.schedules.cron_table import CronJob
from jobs.schedules.moments import moment_of
from jobs.schedules.operations import switch_schedule
from jobs.schedules.sync import sync_schedules
from jobs.testing import run_enqueued_jobs
from tests.deliveries import at_once
from tests.drills import make_job, run_atomic, run_freely, script
from tests.schedules import (
    START,
    Beat,
    anew,
    jobs_of,
    ledger,
    make_crontab,
    make_schedule,
    set_policy,
)

pytestmark = pytest.mark.django_db(transaction=True)


def run(*words: str) -> str:
    out = StringIO()
    call_command(*words, stdout=out)
    return out.getvalue().strip()


def rows(*words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(*words, "--json"))
    return found


def results(*words: str) -> dict[str, str]:
    return {row["name"]: row["result"] for row in rows("sync_schedules", *words)}


@pytest.fixture
def beat(monkeypatch):
    beat = Beat(monkeypatch)
    monkeypatch.setattr(verify_command, "database_now", lambda: beat.now)
    return beat


NIGHTLY = CronJob(name="nightly", cron="0 3 * * *", task="drills.run_atomic")
HOURLY = CronJob(
    name="hourly", cron="0  *  * * *", task="drills.run_freely", payload={"label": "x"},
    description="Every hour.", timezone="Europe/Berlin", missed="skip", overlap="wait",
)  # fmt: skip


@pytest.fixture
def table(settings):
    """Let a test set the cron table."""

    def set_table(*rows):
        settings.JOBS_SCHEDULES = rows

    set_table(NIGHTLY, HOURLY)
    return set_table


def nightly():
    return PeriodicTask.objects.get(name="nightly")


class TestSync:
    def test_writes_every_row_of_the_table(self, table):
        assert results() == {"nightly": "created", "hourly": "created"}

        hourly = PeriodicTask.objects.get(name="hourly")
        assert (hourly.task, json.loads(hourly.kwargs)) == ("drills.run_freely", {"label": "x"})
        assert (hourly.description, hourly.enabled) == ("Every hour.", True)
        assert (hourly.crontab.hour, str(hourly.crontab.timezone)) == ("*", "Europe/Berlin")
        assert (hourly.policy.missed, hourly.policy.overlap) == ("skip", "wait")
        assert {each.by for each in ScheduleRevision.objects.all()} == {"sync_schedules"}

    def test_changes_nothing_the_second_time(self, table):
        run("sync_schedules")
        before = list(PeriodicTask.objects.order_by("pk").values())
        revisions = ScheduleRevision.objects.count()

        assert set(results().values()) == {"unchanged"}

        assert list(PeriodicTask.objects.order_by("pk").values()) == before
        assert ScheduleRevision.objects.count() == revisions
        assert CrontabSchedule.objects.count() == 2

    EDITS = {
        "cron": lambda row: setattr(row, "crontab", make_crontab("30 4 * * *")),
        "timezone": lambda row: setattr(row, "crontab", make_crontab("0 3 * * *", "Asia/Tokyo")),
        "task": lambda row: setattr(row, "task", run_freely.name),
        "kwargs": lambda row: setattr(row, "kwargs", '{"label": "mine"}'),
        "description": lambda row: setattr(row, "description", "Mine."),
        "enabled": lambda row: setattr(row, "enabled", False),
        "missed": lambda row: set_policy(row, missed="run_all"),
        "overlap": lambda row: set_policy(row, overlap="allow"),
    }

    @pytest.mark.parametrize("field", EDITS)
    def test_keeps_an_operators_edit_and_says_so(self, table, field):
        run("sync_schedules")
        row = nightly()
        self.EDITS[field](row)
        row.save()
        edited = facts(nightly())

        for _ in range(2):
            [found] = [each for each in rows("sync_schedules") if each["name"] == "nightly"]
            assert (found["result"], found["kept"]) == ("kept", field)
            assert facts(nightly()) == edited

    @pytest.mark.parametrize("field", EDITS)
    def test_takes_the_edit_back_when_told_to(self, table, field):
        run("sync_schedules")
        before, row = facts(nightly()), nightly()
        self.EDITS[field](row)
        row.save()

        assert results("--reset")["nightly"] == "reset"
        assert facts(nightly()) == before
        assert results()["nightly"] == "unchanged"

    def test_keeps_an_interval_that_somebody_made_of_it(self, table):
        run("sync_schedules")
        every = make_schedule("other", every=(5, "minutes")).interval
        row = nightly()
        row.crontab, row.interval = None, every
        row.save()
        assert results()["nightly"] == "kept"
        assert (nightly().crontab, nightly().interval) == (None, every)
        assert results("--reset")["nightly"] == "reset"
        assert nightly().interval is None

    def test_follows_the_table_in_what_nobody_has_touched(self, table):
        run("sync_schedules")
        row = nightly()
        row.description = "Mine."
        row.save()

        table(CronJob(name="nightly", cron="15 2 * * *", task="drills.run_freely", missed="skip",
                      description="The table's new one."))  # fmt: skip
        assert results() == {"nightly": "kept", "hourly": "no longer in the table"}

        now = nightly()
        assert (now.description, now.task) == ("Mine.", "drills.run_freely")
        assert (now.crontab.hour, now.crontab.minute, now.policy.missed) == ("2", "15", "skip")

    def test_does_not_change_a_crontab_that_others_share(self, table):
        run("sync_schedules")
        other = PeriodicTask.objects.create(
            name="other", task="drills.run_atomic", crontab=nightly().crontab
        )
        table(CronJob(name="nightly", cron="15 2 * * *", task="drills.run_atomic"))
        assert results()["nightly"] == "updated"
        assert anew(other).crontab.hour == "3"

    def test_leaves_deleted_what_was_deleted_unless_it_is_told_to(self, table):
        run("sync_schedules")
        nightly().delete()
        assert results()["nightly"] == "deleted by an operator"
        assert not PeriodicTask.objects.filter(name="nightly").exists()
        assert results("--reset")["nightly"] == "created"
        assert nightly().enabled

    def test_leaves_what_is_no_longer_in_the_table(self, table):
        run("sync_schedules")
        table(HOURLY)
        assert results() == {"hourly": "unchanged", "nightly": "no longer in the table"}
        assert nightly().enabled

    def test_does_not_forget_when_it_last_ran(self, table, beat):
        table(NIGHTLY)
        run("sync_schedules")
        beat.run(days=1)
        ran = nightly().last_run_at
        table(CronJob(name="nightly", cron="15 2 * * *", task="drills.run_atomic"))
        run("sync_schedules")
        assert nightly().last_run_at == ran is not None

    def test_makes_no_slot_up(self, table, beat):
        run("sync_schedules")
        beat.run(hours=1)
        assert ledger(nightly()) == []

    def test_twice_at_once_writes_each_row_once(self, table):
        found = at_once(sync_schedules, sync_schedules, sync_schedules)
        assert [each for each in found if isinstance(each, Exception)] == []
        assert sorted(results.what for results in [r for each in found for r in each]) == [
            *["created"] * 2, *["unchanged"] * 4
        ]  # fmt: skip
        assert PeriodicTask.objects.count() == 2
        assert SchedulePolicy.objects.count() == 2

    def test_with_an_edit_at_once_loses_neither(self, table):
        def edit():
            switch_schedule(schedule_id=nightly().pk, enabled=False, by="ann")

        for _ in range(5):  # Whether they meet is a matter of luck.
            table(NIGHTLY)
            run("sync_schedules", "--reset")
            table(CronJob(name="nightly", cron="15 2 * * *", task="drills.run_atomic"))
            found = at_once(sync_schedules, edit)
            assert [each for each in found if isinstance(each, Exception)] == []
            run("sync_schedules")
            assert (nightly().enabled, nightly().crontab.hour) == (False, "2")

    @pytest.mark.parametrize("cron", ["* * * *", "61 * * * *", "0 0 30 2 *"])
    def test_tells_of_a_typing_error_in_the_table(self, table, cron):
        table(CronJob(name="nightly", cron=cron, task="drills.run_atomic"))
        with pytest.raises(CommandError, match="crontab"):
            run("sync_schedules")
        assert not PeriodicTask.objects.exists()

    def test_says_that_there_is_nothing(self, table):
        table()
        assert run("sync_schedules") == "JOBS_SCHEDULES is empty."


def facts(row):
    crontab = row.crontab
    times = crontab and (crontab.hour, crontab.minute, str(crontab.timezone))
    return times, row.task, row.kwargs, row.description, row.enabled, (
        row.policy.missed, row.policy.overlap,
    )  # fmt: skip


class TestList:
    def test_prints_each_with_its_next_slot_and_how_its_last_ones_went(self, beat):
        schedule = make_schedule(cron="*/30 * * * *")
        make_schedule("weekly", every=(7, "days"), enabled=False)
        beat.run(hours=1)
        run_enqueued_jobs()

        head, first, second = run("list_schedules").splitlines()
        assert head.split()[:2] == ["name", "pattern"]
        for word in ("nightly", "*/30 * * * *", "drills.run_atomic", "2035-01-01 13:30:00", "ran",
                     "100% of 2"):  # fmt: skip
            assert word in first
        assert "every 7 days" in second
        assert anew(schedule).enabled

    def test_prints_json_with_the_next_five(self, beat):
        make_schedule(cron="*/30 * * * *")
        [row] = rows("list_schedules")
        assert row["next"] == [
            f"2035-01-01T{time}:00Z" for time in ("12:30", "13:00", "13:30", "14:00", "14:30")
        ]
        assert (row["enabled"], row["last"], row["success"]) == (True, "", "")

    def test_says_why_one_is_disabled(self, beat):
        make_schedule(kwargs="{")
        beat.run(hours=1)
        [row] = rows("list_schedules")
        assert (row["enabled"], row["next"]) == (False, [])
        assert row["why_disabled"].startswith("kwargs: not JSON")

    def test_lists_what_was_saved_past_djangos_signals_and_what_is_broken(self, beat):
        row = PeriodicTask(name="bulk", task=run_atomic.name, crontab=make_crontab("0 * * * *"))
        PeriodicTask.objects.bulk_create([row])
        broken = make_schedule("broken")
        CrontabSchedule.objects.filter(pk=broken.crontab_id).update(minute="99")
        assert [each["name"] for each in rows("list_schedules")] == ["broken", "bulk"]
        assert len(run("list_schedules").splitlines()) == 3

    def test_says_that_there_are_none(self, beat):
        assert run("list_schedules") == "No schedules: run manage.py sync_schedules."
        assert rows("list_schedules") == []


class TestTrigger:
    def test_runs_one_by_its_name_beside_its_slots(self, beat):
        schedule = make_schedule(
            enabled=False, priority=5, headers='{"a": 1}', expire_seconds=60,
            policy={"overlap": "skip", "paused_until": START + timedelta(days=1)},
        )  # fmt: skip
        beat.pass_time(minutes=10)

        [row] = rows("trigger_schedule", "nightly")

        [job], slot = jobs_of(schedule), Slot.objects.get()
        assert (row["job_id"], row["schedule"], row["state"]) == (str(job.pk), "nightly", "waiting")
        assert (slot.job, slot.at, slot.outcome) == (job, beat.now, "ran")
        assert slot.asked_by.startswith("command:")
        assert job.message_options["priority"] == 5
        assert job.message_options["headers"]["a"] == 1
        assert job.expires_at == beat.now + timedelta(seconds=60)
        assert anew(schedule).last_run_at == beat.now

    @pytest.mark.parametrize("pattern", ["*/5 * * * *", " */5  * * * * "])
    def test_runs_each_that_has_a_pattern(self, beat, pattern):
        for name, cron in (("one", "*/5 * * * *"), ("two", "*/5 * * * *"), ("three", "0 0 * * *")):
            make_schedule(name, cron=cron)
        found = rows("trigger_schedule", pattern)
        assert [row["schedule"] for row in found] == ["one", "two"]

    def test_runs_an_interval_by_its_pattern_and_prefers_a_name(self, beat):
        make_schedule("every 5 minutes", cron="0 0 * * *")
        make_schedule("other", every=(5, "minutes"))
        make_schedule("daily", every=(1, "days"))
        assert [row["schedule"] for row in rows("trigger_schedule", "every 5 minutes")] == [
            "every 5 minutes"
        ]
        assert [row["schedule"] for row in rows("trigger_schedule", "every 1 days")] == ["daily"]

    def test_runs_all_of_a_pattern_or_none(self, beat):
        make_schedule("first")
        make_schedule("second", kwargs="{")
        with pytest.raises(CommandError, match="kwargs: not JSON"):
            run("trigger_schedule", "0 * * * *")
        assert (Job.objects.count(), Slot.objects.count()) == (0, 0)

    def test_lists_what_there_is_where_the_name_is_unknown(self, beat):
        make_schedule()
        make_schedule("weekly", every=(7, "days"))
        with pytest.raises(CommandError) as error:
            run("trigger_schedule", "nightyl")
        assert "'nightyl'" in str(error.value)
        assert "nightly: 0 * * * *" in str(error.value)
        assert "weekly: every 7 days" in str(error.value)

    def test_says_what_to_do_where_there_is_nothing(self, beat):
        with pytest.raises(CommandError, match="There are none: run manage.py sync_schedules"):
            run("trigger_schedule", "nightly")

    def test_pretends_a_moment_that_has_passed(self, beat, settings):
        settings.DEBUG = False
        schedule = make_schedule()
        run("trigger_schedule", "nightly", "--at", "2034-12-31T23:00:00Z")
        [job] = jobs_of(schedule)
        assert moment_of(job).isoformat() == "2034-12-31T23:00:00+00:00"

    def test_pretends_one_to_come_with_debug_alone(self, beat, settings):
        schedule = make_schedule()
        settings.DEBUG = False
        with pytest.raises(CommandError, match="With DEBUG it can be pretended"):
            run("trigger_schedule", "nightly", "--at", "2035-01-02T00:00:00Z")
        assert (Job.objects.count(), Slot.objects.count()) == (0, 0)
        settings.DEBUG = True
        run("trigger_schedule", "nightly", "--at", "2035-01-02T00:00:00+01:00")
        assert moment_of(jobs_of(schedule)[0]).isoformat() == "2035-01-01T23:00:00+00:00"

    def test_of_a_moment_leaves_the_clocks_slot_alone(self, beat):
        schedule = make_schedule()
        run("trigger_schedule", "nightly", "--at", "2035-01-01T11:00:00Z")
        run("trigger_schedule", "nightly", "--at", "2035-01-01T11:00:00Z")
        beat.run(hours=1)
        assert ledger(schedule) == ["13:00 ran"]
        assert len(jobs_of(schedule)) == 3
        assert run("verify_slots")

    @pytest.mark.parametrize("at", ["tomorrow", "2035-01-01T00:00:00", "2035-13-01T00:00:00Z"])
    def test_refuses_what_is_no_moment(self, beat, at):
        with pytest.raises(CommandError, match="not a time with a zone"):
            run("trigger_schedule", "nightly", "--at", at)

    def test_waits_for_its_jobs_no_longer_than_it_is_told(self, beat):
        make_schedule()
        with pytest.raises(CommandError, match=r"Not settled within 0.1 s"):
            run("trigger_schedule", "nightly", "--wait", "0.1")

    def test_fails_where_a_job_of_it_has_failed(self, beat, monkeypatch):
        from jobs.management.commands import trigger_schedule as command

        def fail(job, payload):
            raise RuntimeError("no")

        def work(slots, seconds):
            run_enqueued_jobs(raise_errors=False)
            return True

        monkeypatch.setattr(script, "run", fail)
        monkeypatch.setattr(command, "_all_settled", work)
        make_schedule()
        with pytest.raises(CommandError, match=r"Not succeeded: drills.run_atomic"):
            run("trigger_schedule", "nightly", "--wait", "5")

    def test_of_an_unknown_task_names_it(self, beat):
        make_schedule(task="drills.forgotten")
        with pytest.raises(CommandError, match=r"drills\.forgotten"):
            run("trigger_schedule", "nightly")


class TestVerify:
    @pytest.fixture
    def schedule(self, beat):
        schedule = make_schedule()
        beat.run(hours=5)
        return schedule

    def test_holds_and_says_for_how_many(self, schedule):
        [row] = rows("verify_slots")
        assert (row["schedule"], row["slots"]) == ("nightly", 5)
        assert (row["gaps"], row["doubles"], row["strangers"]) == (0, 0, 0)

    def fails_with(self, word):
        out = StringIO()
        with pytest.raises(CommandError, match="The ledger does not hold: nightly"):
            call_command("verify_slots", "--json", stdout=out)
        [row] = json.loads(out.getvalue())
        assert {name: row[name] for name in ("gaps", "doubles", "strangers")} == {
            "gaps": 0, "doubles": 0, "strangers": 0, **word
        }  # fmt: skip
        return row["first"]

    def test_finds_a_gap(self, schedule):
        Slot.objects.filter(at=START + timedelta(hours=2)).delete()
        assert "2035-01-01T14:00:00+00:00" in self.fails_with({"gaps": 1})

    def test_finds_a_second_job(self, schedule):
        slot = Slot.objects.get(at=START + timedelta(hours=2))
        started = {"headers": {"periodic_task_name": "nightly"}}
        make_job(run_atomic, slot_id=slot.pk, message_options=started)
        assert "14:00" in self.fails_with({"doubles": 1})

    def test_calls_a_replay_no_second_job_nor_what_its_job_enqueued(self, schedule):
        first = jobs_of(schedule)[0]
        replay: dict[str, Any] = {
            "replay_of_id": first.pk,
            "message_options": first.message_options,
        }
        make_job(run_atomic, slot_id=first.slot_id, **replay)
        make_job(run_atomic, slot_id=first.slot_id)
        assert rows("verify_slots")[0]["doubles"] == 0

    def test_finds_a_stranger(self, schedule):
        moved = START + timedelta(hours=2, minutes=7)
        Slot.objects.filter(at=START + timedelta(hours=2)).update(at=moved)
        assert "14:07" in self.fails_with({"gaps": 1, "strangers": 1})

    def test_finds_a_slot_that_came_while_it_was_disabled(self, schedule, beat):
        switch_schedule(schedule_id=schedule.pk, enabled=False, by="ann")
        beat.run(hours=2)
        slot = {"schedule_name": "nightly", "outcome": "ran"}
        Slot.objects.create(schedule=schedule, at=START + timedelta(hours=6), **slot)
        assert "18:00" in self.fails_with({"strangers": 1})

    def test_finds_what_beat_has_not_decided_in_the_schedules_grace(self, schedule, beat):
        beat.pass_time(hours=1, seconds=59)
        assert rows("verify_slots")[0]["gaps"] == 0
        beat.pass_time(seconds=2)
        assert "18:00" in self.fails_with({"gaps": 1})

    def test_looks_no_further_back_than_it_is_told(self, schedule):
        Slot.objects.filter(at=START + timedelta(hours=2)).delete()
        for since, slots in (("2h", 2), ("150m", 3), ("2035-01-01T15:00:00Z", 2)):
            assert rows("verify_slots", "--since", since)[0]["slots"] == slots
        with pytest.raises(CommandError, match="does not hold"):
            run("verify_slots", "--since", "7d")

    def test_proves_a_schedule_that_is_deleted(self, schedule, beat):
        beat.pass_time(minutes=30)
        schedule.delete()
        beat.run(hours=2)
        [row] = rows("verify_slots")
        assert (row["schedule"], row["slots"], row["gaps"]) == ("nightly (deleted)", 5, 0)

    @pytest.mark.parametrize("since", ["soon", "5", "5w", "-1h", "1.5h", "2035-01-01", ""])
    def test_refuses_what_is_no_time(self, schedule, since):
        with pytest.raises(CommandError, match="neither 30m, 12h, 7d nor"):
            run("verify_slots", f"--since={since}")

    def test_says_that_there_is_nothing(self, beat):
        assert run("verify_slots") == "No schedules."


def test_a_cursor_that_is_gone_is_made_anew_without_a_slot(beat):
    schedule = make_schedule()
    beat.run(hours=1)
    ScheduleCursor.objects.all().delete()
    beat.run(hours=1)
    assert ledger(schedule) == ["13:00 ran", "14:00 ran"]

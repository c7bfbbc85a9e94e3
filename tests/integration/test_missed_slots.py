"""A day without beat: none, one or all of the missed slots, in order, at a bounded rate."""

from datetime import timedelta
from itertools import pairwise

import pytest

from jobs.models import Job, Slot
from jobs.schedules.firing import SLOTS_AT_ONCE, fire_due
from jobs.testing import run_enqueued_jobs
from tests.schedules import (
    START,
    covered,
    jobs_of,
    ledger,
    make_schedule,
    proved,
)

pytestmark = pytest.mark.django_db(transaction=True)


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

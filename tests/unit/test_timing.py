"""Nominal slots: intervals, one-offs, starts and ends, and definitions that change."""

from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from jobs.schedules.errors import BrokenSchedule
from jobs.schedules.timing import (
    EPOCH,
    Clocked,
    Interval,
    slots_after,
    slots_in_force,
    timing_of,
)
from jobs.schedules.validity import check_times

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)  # A Monday.


def define(**changes):
    """Return a definition: daily at midnight UTC, where a test says nothing else."""
    times = {"crontab", "interval", "clocked", "solar"}
    what = {} if times & changes.keys() else {"crontab": "0 0 * * *"}
    plain = {"timezone": "UTC", "enabled": True, "one_off": False}
    return {**plain, "start_time": None, "expires": None, **what, **changes}


def first(definition, moment=NOON, count=3):
    return list(islice(slots_after(definition, moment), count))


def at(day, hour=0, minute=0, second=0):
    return datetime(2026, 5, day, hour, minute, second, tzinfo=UTC)


class TestAnInterval:
    def test_comes_at_multiples_since_1970(self):
        assert first(define(interval="7 minutes"), NOON, 2) == [
            EPOCH + n * timedelta(minutes=7)
            for n in ((NOON - EPOCH) // timedelta(minutes=7) + 1,
                      (NOON - EPOCH) // timedelta(minutes=7) + 2)
        ]  # fmt: skip

    def test_comes_at_multiples_since_its_start_where_it_has_one(self):
        weekly = define(interval="7 days", start_time=at(1, 9, 30).isoformat())
        assert first(weekly, at(20), 2) == [at(22, 9, 30), at(29, 9, 30)]

    def test_begins_with_its_start_and_not_before(self):
        hourly = define(interval="1 hours", start_time=at(6, 9, 30).isoformat())
        assert first(hourly, NOON, 2) == [at(6, 9, 30), at(6, 10, 30)]

    def test_is_after_a_slot_not_at_it(self):
        assert first(define(interval="1 hours"), NOON, 1) == [at(4, 13)]
        assert first(define(interval="1 hours"), NOON - timedelta(microseconds=1), 1) == [NOON]

    def test_does_not_depend_on_when_one_asks(self):
        # What a restart of beat, which counts from its own last run, would shift.
        weekly = define(interval="7 days")
        [slot] = first(weekly, NOON, 1)
        days = int((slot - NOON).total_seconds() // 86_400)
        assert {first(weekly, NOON + timedelta(days=n), 1)[0] for n in range(days)} == {slot}

    @pytest.mark.parametrize("interval", ["1 seconds", "1000000 microseconds"])
    def test_of_one_second_is_the_shortest(self, interval):
        assert first(define(interval=interval), NOON, 1) == [at(4, 12, 0, 1)]

    @pytest.mark.parametrize("interval", ["999999 microseconds", "0 seconds", "0 days", "-1 hours"])
    def test_that_is_shorter_is_broken(self, interval):
        with pytest.raises(BrokenSchedule, match="the shortest is one second"):
            first(define(interval=interval))

    def test_that_is_longer_than_the_calendar_is_broken_or_never_comes(self):
        assert first(define(interval="4000000 days")) == []
        assert first(define(interval="1500000 days"), count=9) == [
            EPOCH + timedelta(days=1_500_000)
        ]
        with pytest.raises(BrokenSchedule, match="2147483647 days"):
            first(define(interval="2147483647 days"))

    @pytest.mark.parametrize("interval", ["x minutes", "3 fortnights", "1.5 hours", "5"])
    def test_that_can_not_be_read_is_broken(self, interval):
        with pytest.raises(BrokenSchedule, match="interval"):
            first(define(interval=interval))

    def test_before_its_start_has_no_slots(self):
        assert list(islice(Interval(timedelta(hours=1), NOON).after(at(1)), 1)) == [NOON]


class TestAClockedSchedule:
    def test_comes_once(self):
        assert first(define(clocked=at(5).isoformat())) == [at(5)]

    def test_that_has_passed_does_not_come(self):
        assert first(define(clocked=at(3).isoformat())) == []
        assert list(Clocked(NOON).after(NOON)) == []


class TestADefinition:
    def test_has_no_slots_while_it_is_disabled(self):
        assert first(define(enabled=False)) == []

    def test_of_a_one_off_has_one(self):
        assert first(define(one_off=True)) == [at(5)]

    def test_begins_at_its_start_inclusive(self):
        assert first(define(start_time=at(8).isoformat()), count=1) == [at(8)]
        assert first(define(start_time=at(8, 0, 1).isoformat()), count=1) == [at(9)]

    def test_has_begun_where_its_start_is_past(self):
        assert first(define(start_time=at(1).isoformat()), count=1) == [at(5)]

    def test_ends_before_its_expiry(self):
        assert first(define(expires=at(7).isoformat())) == [at(5), at(6)]
        assert first(define(expires=at(1).isoformat())) == []

    def test_that_ends_before_it_begins_has_none(self):
        assert first(define(start_time=at(9).isoformat(), expires=at(8).isoformat())) == []

    def test_is_read_in_its_zone(self):
        tokyo = define(timezone="Asia/Tokyo")
        assert first(tokyo, count=1) == [at(4, 15)]

    def test_of_the_sun_is_broken(self):
        with pytest.raises(BrokenSchedule, match="solar: its times can't be told"):
            timing_of(define(solar="sunrise (52.5, 13.4)"))

    def test_of_nothing_is_broken(self):
        with pytest.raises(BrokenSchedule, match="no crontab, interval or clocked"):
            timing_of(define(crontab=None))

    @pytest.mark.parametrize(
        "changes",
        [{"crontab": "x * * * *"}, {"timezone": "Mars/Olympus"}, {"interval": "0 seconds"}],
    )
    def test_that_can_not_be_kept_is_told_of_before_any_slot(self, changes):
        with pytest.raises(BrokenSchedule):
            check_times(define(**changes))


class TestSlotsInForce:
    def test_of_one_definition_are_those_in_the_window_its_end_included(self):
        assert list(slots_in_force([(at(1), define())], at(5), at(7))) == [at(6), at(7)]

    def test_follow_each_definition_in_its_time(self):
        hourly, daily = define(interval="1 hours"), define()
        revisions = [(at(1), daily), (at(5, 10, 30), hourly), (at(5, 12), daily)]
        assert list(slots_in_force(revisions, at(4), at(7))) == [
            at(5), at(5, 11), at(5, 12), at(6), at(7),
        ]  # fmt: skip

    def test_at_the_very_moment_of_a_change_belong_to_the_old(self):
        revisions = [(at(1), define()), (at(5), define(interval="12 hours"))]
        assert list(slots_in_force(revisions, at(4), at(6))) == [at(5), at(5, 12), at(6)]
        revisions = [(at(1), define(crontab="0 3 * * *")), (at(5), define())]
        assert list(slots_in_force(revisions, at(4, 12), at(6))) == [at(6)]

    def test_do_not_come_before_the_first_definition(self):
        assert list(slots_in_force([(at(5, 12), define())], at(1), at(7))) == [at(6), at(7)]

    def test_leave_the_time_out_in_which_it_was_disabled(self):
        revisions = [(at(1), define()), (at(3, 1), define(enabled=False)), (at(5, 1), define())]
        assert list(slots_in_force(revisions, at(1), at(7))) == [at(2), at(3), at(6), at(7)]

    def test_pass_over_a_definition_that_can_not_be_read(self):
        broken = define(crontab="x * * * *")
        revisions = [(at(1), define()), (at(3, 1), broken), (at(5, 1), define())]
        assert list(slots_in_force(revisions, at(1), at(7))) == [at(2), at(3), at(6), at(7)]

    def test_of_a_one_off_come_once_however_long_one_looks(self):
        revisions = [(at(1, 12), define(one_off=True))]
        assert list(slots_in_force(revisions, at(1), at(9))) == [at(2)]
        assert list(slots_in_force(revisions, at(2), at(9))) == []
        assert list(slots_in_force(revisions, at(5), at(9))) == []

    def test_of_a_one_off_come_again_where_it_was_enabled_again(self):
        once, off = define(one_off=True), define(one_off=True, enabled=False)
        revisions = [(at(1, 12), once), (at(2), off), (at(5, 12), once)]
        assert list(slots_in_force(revisions, at(1), at(9))) == [at(2), at(6)]

    def test_of_no_definitions_are_none(self):
        assert list(slots_in_force([], at(1), at(7))) == []

    def test_of_two_changes_at_one_moment_follow_the_last(self):
        revisions = [
            (at(1), define()),
            (at(3, 1), define(interval="1 hours")),
            (at(3, 1), define()),
        ]
        assert list(slots_in_force(revisions, at(3), at(5))) == [at(4), at(5)]

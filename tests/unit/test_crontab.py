"""Crontabs: Celery's fields, Debian's rule where the clocks change, and cronsim as the witness."""

import re
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.schedules.crontab import Crontab, parse_crontab, zone_named
from jobs.schedules.errors import BrokenSchedule
from tests.harness.variables import CHECKOUT

PAGE = (CHECKOUT / "docs" / "schedules.md").read_text()
ROW = re.compile(r"^\| `(.+?)` \| (\w+/\w+) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
CASES = ROW.findall(PAGE)

#: The days on which the clocks go forward and back, in 2026.
CHANGES = {
    "Europe/Berlin": (date(2026, 3, 29), date(2026, 10, 25)),
    "America/New_York": (date(2026, 3, 8), date(2026, 11, 1)),
    "Australia/Lord_Howe": (date(2026, 10, 4), date(2026, 4, 5)),
}

#: Where we differ from cronsim: (what it has and we lack, what we have and it lacks).
DECIDED = {
    "the same": (False, False),
    "leaves some out": (False, True),
    'day "or" weekday': (True, False),
}

every_case = pytest.mark.parametrize(
    ("pattern", "zone", "forward", "back", "cronsim"),
    CASES,
    ids=[f"{pattern} {zone}" for pattern, zone, *_ in CASES],
)


def slots(pattern, zone, begin, end):
    """Return the slots in (begin, end], which are local times."""
    tz = ZoneInfo(zone)
    until = end.replace(tzinfo=tz).astimezone(UTC)
    found = Crontab(pattern, tz).after(begin.replace(tzinfo=tz))
    return list(takewhile(lambda slot: slot <= until, found))


def theirs(pattern, zone, begin, end):
    tz = ZoneInfo(zone)
    until = end.replace(tzinfo=tz).astimezone(UTC)
    found = (each.astimezone(UTC) for each in CronSim(pattern, begin.replace(tzinfo=tz)))
    return list(takewhile(lambda slot: slot <= until, found))


def week_around(day):
    midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - A local time.
    return midnight - timedelta(days=3), midnight + timedelta(days=4)


def local(slot, zone):
    moment = slot.astimezone(ZoneInfo(zone))
    return f"{moment:%H:%M}" + ("′" if moment.fold else "")


def at_night(pattern, zone, day):
    """Return the slots of a day from 01:00 to 03:59, as the page writes them."""
    here = [
        slot
        for slot in slots(pattern, zone, *week_around(day))
        if slot.astimezone(ZoneInfo(zone)).date() == day
        and 1 <= slot.astimezone(ZoneInfo(zone)).hour <= 3
    ]
    return " ".join(local(slot, zone) for slot in here) or "none"


def next_of(pattern, moment, count=1, zone=UTC):
    return [each.astimezone(zone) for each in islice(Crontab(pattern, zone).after(moment), count)]


def utc(year, month, day, hour=0, minute=0, second=0):
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


class TestTheTableOfClockChanges:
    def test_has_36_cases_in_three_zones(self):
        assert len(set(CASES)) == 36
        assert {zone for _, zone, *_ in CASES} == CHANGES.keys()
        assert len({pattern for pattern, *_ in CASES}) == 12

    @every_case
    def test_is_kept(self, pattern, zone, forward, back, cronsim):
        days = CHANGES[zone]
        assert [at_night(pattern, zone, day) for day in days] == [forward, back]

    @every_case
    def test_names_every_difference_from_cronsim(self, pattern, zone, forward, back, cronsim):
        ours, other = [], []
        for day in sorted(CHANGES[zone]):
            ours += slots(pattern, zone, *week_around(day))
            other += theirs(pattern, zone, *week_around(day))

        assert ours == sorted(set(ours))
        assert other == sorted(set(other))
        lacking, beyond = set(other) - set(ours), set(ours) - set(other)
        assert (bool(lacking), bool(beyond)) == DECIDED[cronsim]

    @every_case
    def test_of_what_cronsim_leaves_out_shows_those_minutes_on_the_clock(
        self, pattern, zone, forward, back, cronsim
    ):
        # The second witness: look at every minute of the week, and ask what the clocks show.
        if cronsim != "leaves some out":
            return
        fields = parse_crontab(pattern)
        for day in CHANGES[zone]:
            begin, end = (each.replace(tzinfo=ZoneInfo(zone)) for each in week_around(day))
            minutes = int((end.astimezone(UTC) - begin.astimezone(UTC)).total_seconds() // 60)
            moments = (begin.astimezone(UTC) + timedelta(minutes=n + 1) for n in range(minutes))
            shown = [
                moment
                for moment in moments
                if moment.astimezone(ZoneInfo(zone)).minute in fields.minute
                and moment.astimezone(ZoneInfo(zone)).hour in fields.hour
            ]
            assert slots(pattern, zone, *week_around(day)) == shown


class TestAGap:
    def test_at_midnight_moves_the_day_to_its_first_minute(self):
        # Santiago: 00:00 on 6 September 2026 is 01:00.
        tz = ZoneInfo("America/Santiago")
        found = next_of("0 0 * * *", datetime(2026, 9, 5, 12, tzinfo=tz), 2, tz)
        assert [f"{each:%d %H:%M}" for each in found] == ["06 01:00", "07 00:00"]

    def test_makes_one_slot_of_two_times_that_move_to_the_same_minute(self):
        tz = ZoneInfo("Europe/Berlin")
        found = next_of("0,15,30 2 * * *", datetime(2026, 3, 28, 12, tzinfo=tz), 2, tz)
        assert [f"{each:%d %H:%M}" for each in found] == ["29 03:00", "30 02:00"]

    def test_of_a_whole_day_moves_its_times_to_the_next_day(self):
        # Samoa had no 30 December 2011.
        tz = ZoneInfo("Pacific/Apia")
        before = datetime(2011, 12, 29, 12, tzinfo=tz)
        found = next_of("0 12 * * *", before, 3, tz)
        assert [f"{each:%d %H:%M}" for each in found] == ["31 00:00", "31 12:00", "01 12:00"]

        found = next_of("0 */6 * * *", before, 4, tz)
        assert [f"{each:%d %H:%M}" for each in found] == [
            "29 18:00", "31 00:00", "31 06:00", "31 12:00"
        ]  # fmt: skip

    def test_of_a_whole_day_makes_nothing_twice(self):
        tz = ZoneInfo("Pacific/Apia")
        found = next_of("0 0 * * *", datetime(2011, 12, 29, 12, tzinfo=tz), 2, tz)
        assert [f"{each:%m-%d %H:%M}" for each in found] == ["12-31 00:00", "01-01 00:00"]

    def test_lets_the_moved_slot_be_found_from_the_last_moment_before_it(self):
        # Santiago's clocks go from 23:59:59 to 01:00: what is due at 00:30 is due then.
        last = utc(2026, 9, 6, 3, 59, 59)
        tz = ZoneInfo("America/Santiago")
        found = [each.astimezone(UTC) for each in next_of("30 0 * * *", last, 2, tz)]
        assert found == [utc(2026, 9, 6, 4), utc(2026, 9, 7, 3, 30)]


class TestFields:
    @pytest.mark.parametrize(
        ("pattern", "field", "expected"),
        [
            ("0 0 * * mon-fri", "day_of_week", {1, 2, 3, 4, 5}),
            ("0 0 * * Sunday", "day_of_week", {0}),
            ("0 0 * * 5-1", "day_of_week", {5, 6, 0, 1}),  # Celery's ranges go round.
            ("0 0 * * 7", "day_of_week", {0}),  # Cron's other Sunday.
            ("0 0 * nov-feb *", "month_of_year", {11, 12, 1, 2}),
            ("0 0 * */3 *", "month_of_year", {1, 4, 7, 10}),
            ("0 22-2 * * *", "hour", {22, 23, 0, 1, 2}),
            ("0 22-4/2 * * *", "hour", {22, 0, 2, 4}),
            ("5-20/5 * * * *", "minute", {5, 10, 15, 20}),
            ("1,2,50-55/2 * * * *", "minute", {1, 2, 50, 52, 54}),
            ("0 0 */10 * *", "day_of_month", {1, 11, 21, 31}),
        ],
    )
    def test_are_read_as_celery_reads_them(self, pattern, field, expected):
        assert getattr(parse_crontab(pattern), field) == expected

    @pytest.mark.parametrize(
        ("pattern", "fault"),
        [
            ("* * * *", "it has 4 fields, not 5"),
            ("* * * * * *", "it has 6 fields, not 5"),
            ("", "it has 0 fields"),
            ("60 * * * *", "60"),
            ("* 24 * * *", "24"),
            ("* * 0 * *", "0"),
            ("* * 32 * *", "32"),
            ("* * * 13 *", "13"),
            ("* * * * 8", "8"),
            ("* * * * 1-7", "7"),  # Celery's own field, where 7 is no day.
            ("* * * * noday", "noday"),
            ("*/0 * * * *", "crontab"),
            ("a * * * *", "a"),
            ("1- * * * *", "crontab"),
            ("-5 * * * *", "crontab"),
            ("1,,2 * * * *", "crontab"),
            ("@daily", "it has 1 fields"),
            ("* * L * *", "crontab"),
            ("* * * * 5#2", "crontab"),
        ],
    )
    def test_that_are_wrong_name_the_crontab_and_the_fault(self, pattern, fault):
        with pytest.raises(BrokenSchedule, match=re.escape(fault)) as broken:
            parse_crontab(pattern)
        assert repr(pattern) in str(broken.value)

    @pytest.mark.parametrize("name", ["Mars/Olympus", "", "../etc/passwd", "europe", "\0"])
    def test_of_a_zone_that_is_none_are_broken(self, name):
        with pytest.raises(BrokenSchedule, match="time zone"):
            zone_named(name)


class TestDays:
    def test_29_february_comes_every_four_years_and_once_in_eight(self):
        found = next_of("0 0 29 2 *", utc(2092, 1, 1), 3)
        assert [each.year for each in found] == [2092, 2096, 2104]

    @pytest.mark.parametrize("pattern", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 31 feb *"])
    def test_that_no_month_has_are_refused(self, pattern):
        with pytest.raises(BrokenSchedule, match="never occurs"):
            next_of(pattern, utc(2026, 1, 1))

    def test_29_february_of_one_weekday_comes_within_nine_years_or_is_not_looked_for(self):
        # Every 28 years: longer than anybody waits; 2032 is a Sunday.
        assert next_of("0 0 29 2 0", utc(2026, 1, 1), 2) == [utc(2032, 2, 29)]

    def test_31_skips_the_shorter_months(self):
        found = next_of("0 0 31 * *", utc(2026, 1, 1), 4)
        assert [each.month for each in found] == [1, 3, 5, 7]

    def test_of_month_and_of_week_must_both_match(self):
        found = next_of("0 0 13 * fri", utc(2026, 1, 1), 3)
        assert [f"{each:%a %m-%d}" for each in found] == ["Fri 02-13", "Fri 03-13", "Fri 11-13"]

    def test_end_with_the_calendar(self):
        found = next_of("0 0 * * *", utc(9999, 12, 20), 50)
        assert 5 < len(found) < 12


# --- Any crontab, any moment --------------------------------------------------------------------

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago"]


def field(low, high):
    number = st.integers(low, high)
    return st.one_of(
        st.just("*"),
        st.integers(2, max(2, high // 2)).map(lambda step: f"*/{step}"),
        st.lists(number, min_size=1, max_size=3).map(lambda each: ",".join(map(str, each))),
        st.tuples(number, number).map(lambda ends: f"{ends[0]}-{ends[1]}"),
    )


patterns = st.tuples(
    field(0, 59), field(0, 23), st.one_of(st.just("*"), field(1, 28)), st.just("*"), field(0, 6)
).map(" ".join)
moments = st.datetimes(
    datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)  # noqa: DTZ001
)  # fmt: skip
any_crontab = settings(max_examples=150, deadline=None, database=None)


class TestAnyCrontab:
    @any_crontab
    @given(patterns, st.sampled_from(ZONES), moments)
    def test_has_slots_that_rise_and_show_its_fields(self, pattern, zone, moment):
        tz, fields = ZoneInfo(zone), parse_crontab(pattern)
        found = list(islice(Crontab(pattern, zone_named(zone)).after(moment), 50))

        assert all(before < after for before, after in pairwise([moment, *found]))
        for slot in found:
            shown = slot.astimezone(tz)
            matches = shown.hour in fields.hour and shown.minute in fields.minute
            assert matches or follows_a_gap(slot, tz), f"{shown} of {pattern}"

    @any_crontab
    @given(patterns, st.sampled_from(ZONES), moments, st.integers(0, 20))
    def test_is_the_same_wherever_one_begins(self, pattern, zone, moment, skipped):
        crontab = Crontab(pattern, zone_named(zone))
        found = list(islice(crontab.after(moment), 24))

        for begin in found[skipped : skipped + 1]:
            rest = found[skipped + 1 :]
            assert list(islice(crontab.after(begin), len(rest))) == rest
            before = begin - timedelta(microseconds=1)
            assert next(crontab.after(before)) == begin

    @any_crontab
    @given(patterns, st.sampled_from(["Europe/Berlin", "America/New_York"]), st.data())
    def test_is_cronsims_around_the_changes(self, pattern, zone, data):
        *_, day_of_month, _, weekday = pattern.split()
        if "*" not in day_of_month[:1] + weekday[:1] or goes_round(pattern):
            return  # The decided difference, and what cronsim can't read.
        day = data.draw(st.sampled_from(CHANGES[zone]))
        window = week_around(day)
        assert slots(pattern, zone, *window) == theirs(pattern, zone, *window)


def follows_a_gap(slot, tz):
    """Tell whether the clocks were moved forward just before this moment."""
    before = slot - timedelta(minutes=1)
    moved = slot.astimezone(tz).utcoffset() - before.astimezone(tz).utcoffset()
    return moved > timedelta(0)


def goes_round(pattern):
    ranges = re.findall(r"(\d+)-(\d+)", pattern)
    return any(int(low) > int(high) for low, high in ranges)

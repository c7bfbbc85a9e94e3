"""When the five fields of a crontab are true, in a time zone whose clocks may change."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cached_property, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from celery.schedules import ParseException
from celery.schedules import crontab as celery_crontab

from jobs.schedules.errors import BrokenSchedule

#: 29 February is up to eight years away; where nothing comes for longer, nothing ever does.
YEARS_LOOKED_AT = timedelta(days=9 * 366)

ONE_DAY = timedelta(days=1)
ONE_HOUR = timedelta(hours=1)
ONE_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True)
class Crontab:
    """
    A crontab in a zone: `expression` is "minute hour day-of-month month day-of-week".

    The fields mean what Celery says they mean: all of them must match. Where the clocks change,
    the rule is that of Debian's cron. A crontab whose minute or hour begins with `*` follows
    real time: nothing is made up for an hour that is skipped, and an hour that comes twice counts
    twice. Any other names times of day: one that is skipped moves to the first minute after the
    gap, one that comes twice counts once, at its first coming.
    """

    expression: str
    zone: tzinfo

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the slots after a moment, in UTC, in order, each once."""
        try:
            yield from self._after(moment)
        except OverflowError:
            return  # The calendar ends with the year 9999, in some zones a day earlier.

    def _after(self, moment: datetime) -> Iterator[datetime]:
        last, day = moment, moment.astimezone(self.zone).date()
        if self._steady_offset(day - ONE_DAY) is None:
            day -= ONE_DAY  # A gap at midnight moves a slot to the next day.
        end = _years_after(day)
        while day < end:
            for slot in self._slots_of(day, last):
                if slot > last:
                    yield slot
                    last, end = slot, _years_after(day)
            day += ONE_DAY

    def _slots_of(self, day: date, since: datetime) -> Iterable[datetime]:
        """Return a day's slots in order; those before `since` may be left out."""
        if not self._matches(day):
            return []
        offset = self._steady_offset(day)
        if offset is not None:
            return self._slots_at(day, offset, since)
        resolve = _every_coming if self._follows_real_time else _first_coming
        local = (
            datetime(day.year, day.month, day.day, hour, minute)  # noqa: DTZ001 - local time.
            for hour in self._hours
            for minute in self._minutes
        )
        return sorted({moment for each in local for moment in resolve(each, self.zone)})

    def _slots_at(self, day: date, offset: timedelta, since: datetime) -> Iterator[datetime]:
        """Yield the slots of a day on which no clock changes: of nearly every day."""
        for hour in self._hours:
            begin = datetime(day.year, day.month, day.day, hour, tzinfo=UTC) - offset
            if begin + ONE_HOUR > since:
                yield from (begin + minute * ONE_MINUTE for minute in self._minutes)

    def _steady_offset(self, day: date) -> timedelta | None:
        """Return the day's distance from UTC; None for a day on which it changes."""
        midnights = (datetime.combine(each, time.min, self.zone) for each in (day, day + ONE_DAY))
        first, second = (midnight.utcoffset() for midnight in midnights)
        return first if first == second else None

    def _matches(self, day: date) -> bool:
        fields = self._fields
        return (
            day.month in fields.month_of_year
            and day.day in fields.day_of_month
            and day.isoweekday() % 7 in fields.day_of_week
        )

    @cached_property
    def _fields(self) -> Any:
        return parse_crontab(self.expression)

    @cached_property
    def _hours(self) -> list[int]:
        return sorted(self._fields.hour)

    @cached_property
    def _minutes(self) -> list[int]:
        return sorted(self._fields.minute)

    @cached_property
    def _follows_real_time(self) -> bool:
        return any(field.startswith("*") for field in self.expression.split()[:2])


@lru_cache(maxsize=1024)
def parse_crontab(expression: str) -> Any:
    """
    Read the five fields as Celery does.

    :raises BrokenSchedule: saying what is wrong with them.
    """
    fields = expression.split()
    if len(fields) != 5:
        raise BrokenSchedule(f"crontab {expression!r}: it has {len(fields)} fields, not 5.")
    minute, hour, day_of_month, month, day_of_week = fields
    try:
        return celery_crontab(
            minute=minute,
            hour=hour,
            day_of_month=day_of_month,
            month_of_year=month,
            # Cron's other name of Sunday, which Celery's own parser refuses.
            day_of_week="0" if day_of_week == "7" else day_of_week,
        )
    except (ValueError, ParseException) as error:
        raise BrokenSchedule(f"crontab {expression!r}: {error}") from None


def zone_named(name: str) -> tzinfo:
    """
    Return a time zone; UTC itself for UTC, which needs no care.

    :raises BrokenSchedule: if there is none of this name.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise BrokenSchedule(f"time zone {name!r}: there is none of this name.") from None


def _years_after(day: date) -> date:
    return min(day, date.max - YEARS_LOOKED_AT) + YEARS_LOOKED_AT - ONE_DAY


def _every_coming(local: datetime, zone: tzinfo) -> Iterator[datetime]:
    """Yield each moment at which the clocks show this local time: none, one or two."""
    for fold in (0, 1):
        moment = local.replace(tzinfo=zone, fold=fold).astimezone(UTC)
        if _shows(moment, local, zone):
            yield moment


def _first_coming(local: datetime, zone: tzinfo) -> Iterator[datetime]:
    """Yield the first moment at which the clocks show this local time, or the first after it."""
    moment = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    while not _shows(moment, local, zone):
        local += timedelta(minutes=1)
        moment = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    yield moment


def _shows(moment: datetime, local: datetime, zone: tzinfo) -> bool:
    return moment.astimezone(zone).replace(tzinfo=None) == local

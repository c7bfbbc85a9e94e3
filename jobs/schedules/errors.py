"""What can go wrong with a schedule, and what the reader should do about it."""

from collections.abc import Iterable

from jobs.errors import JobError


class ScheduleError(JobError):
    """Base of the errors of schedules. Catch a subclass, never this."""


class BrokenSchedule(ScheduleError, ValueError):
    """The schedule can't be run as it stands; the text names the field and what is wrong."""


class UnknownSchedule(ScheduleError):
    """No schedule has this name or this cron pattern; the text lists those that there are."""

    def __init__(self, wanted: str, known: Iterable[str]) -> None:
        listed = "".join(f"\n  {each}" for each in known)
        there = f"There are:{listed}" if listed else "There are none: run manage.py sync_schedules."
        super().__init__(f"No schedule is named {wanted!r} or has this pattern. {there}")


class PretendedTimeRefused(ScheduleError):
    """A time to come can be pretended with DEBUG alone: a clean-up would delete what lives."""

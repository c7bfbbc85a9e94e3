"""What may be read of schedules: which there are, their next slots, and how the last ones went."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from django.db.models import QuerySet
from django_celery_beat.models import PeriodicTask

from jobs.database_clock import database_now
from jobs.models import Job, Slot
from jobs.schedules.definitions import cron_of, definition_of, normal_crontab
from jobs.schedules.errors import BrokenSchedule, UnknownSchedule
from jobs.schedules.locking import RELATED
from jobs.schedules.timing import slots_after
from jobs.states import JobState, SlotOutcome

#: Slots that had something to run: the skipped say nothing of success.
WITH_JOBS = (SlotOutcome.RAN, SlotOutcome.LATE, SlotOutcome.CAUGHT_UP, SlotOutcome.FAILED)


@dataclass(frozen=True)
class Record:
    """How the last slots of a schedule went that had jobs."""

    settled: int  #: How many of them have ended.
    succeeded: int
    mean_duration: timedelta | None  #: From the first start to the last settle of a slot's jobs.

    @property
    def success_rate(self) -> float | None:
        """From 0 to 1; None before the first has ended."""
        return self.succeeded / self.settled if self.settled else None


def list_schedules() -> list[PeriodicTask]:
    return list(PeriodicTask.objects.select_related(*RELATED).order_by("name"))


def find_schedules(wanted: str) -> list[PeriodicTask]:
    """
    Return the schedule of this name, or else every one with this cron pattern, in any time zone.

    :raises UnknownSchedule: if there is none; the error lists those that there are.
    """
    schedules = list_schedules()
    named = [each for each in schedules if each.name == wanted]
    pattern = normal_crontab(wanted)
    found = named or [each for each in schedules if pattern_of(each) == pattern]
    if not found:
        raise UnknownSchedule(wanted, known_schedules())
    return found


def known_schedules() -> list[str]:
    """Return a line for each schedule: its name and its pattern."""
    return [f"{each.name}: {pattern_of(each)}" for each in list_schedules()]


def pattern_of(schedule: PeriodicTask) -> str:
    return cron_of(definition_of(schedule))


def next_slots(schedule: PeriodicTask, count: int = 5) -> list[datetime]:
    """Return its next slots in UTC; none while it is disabled, or if its times can't be read."""
    try:
        return list(islice(slots_after(definition_of(schedule), database_now()), count))
    except BrokenSchedule:
        return []


def last_slots(schedule: PeriodicTask, count: int = 20) -> list[Slot]:
    """Return its last slots, oldest first, with their jobs."""
    newest = Slot.objects.filter(schedule=schedule).select_related("job").order_by("-at")[:count]
    return list(reversed(newest))


def record_of(slots: Iterable[Slot]) -> Record:
    """Return how these slots went, in one query; those that still run don't count."""
    by_slot: dict[object, list[Job]] = {}
    for job in _jobs_of(slots):
        by_slot.setdefault(job.slot_id, []).append(job)
    ended = [jobs for jobs in by_slot.values() if all(job.is_settled for job in jobs)]
    good = [jobs for jobs in ended if all(job.state == JobState.SUCCEEDED for job in jobs)]
    return Record(len(ended), len(good), _mean([_duration(jobs) for jobs in good]))


def _jobs_of(slots: Iterable[Slot]) -> QuerySet[Job]:
    ids = [slot.pk for slot in slots if slot.outcome in WITH_JOBS]
    return Job.objects.filter(slot__in=ids).only("slot_id", "state", "started_at", "settled_at")


def _duration(jobs: list[Job]) -> timedelta:
    starts = [job.started_at for job in jobs if job.started_at]
    ends = [job.settled_at for job in jobs if job.settled_at]
    return max(ends) - min(starts) if starts and ends else timedelta(0)


def _mean(durations: list[timedelta]) -> timedelta | None:
    return sum(durations, timedelta(0)) / len(durations) if durations else None

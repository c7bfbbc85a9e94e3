"""Whether a schedule can be run at all: asked when it is saved, and by beat before its slots."""

from django_celery_beat.models import PeriodicTask

from jobs import payloads, registry
from jobs.schedules.definitions import Definition, definition_of, headers_of
from jobs.schedules.errors import BrokenSchedule
from jobs.schedules.starting import call_of
from jobs.schedules.timing import EPOCH, timing_of


def check_schedule(schedule: PeriodicTask) -> None:
    """
    :raises BrokenSchedule: if its times can't be told, or a field can't be read or kept.
    :raises EnqueueRefused: if its task is unknown, or its payload doesn't fit.
    """
    definition = definition_of(schedule)
    check_times(definition)
    if definition["catch_up_per_minute"] < 1:
        raise BrokenSchedule("catch_up_per_minute: at least 1, or nothing is ever caught up.")
    task, payload = call_of(schedule)
    payloads.as_json(registry.get_type(task).read(payload))
    payloads.message_options(schedule.priority, headers_of(schedule))


def check_times(definition: Definition) -> None:
    """:raises BrokenSchedule: if a definition has no times, or some that can't be kept."""
    timing = timing_of(definition)
    next(iter(timing.after(EPOCH)), None)

"""
The one order in which rows of a schedule are locked: the schedule, then its cursor.

Before either, `save` locks the one row of django-celery-beat's `PeriodicTasks`. So whoever holds a
schedule's lock never writes that row, and nothing here reads it: beat looks at the schedules.
"""

from datetime import datetime

from django.db import connection
from django_celery_beat.models import PeriodicTask

from jobs.engine import statements
from jobs.models import ScheduleCursor, SchedulePolicy

#: How long a beat may idle inside its transaction before PostgreSQL ends it: one that hangs there
#: would keep its schedule from all others.
IDLE_SECONDS = 10

RELATED = ("crontab", "interval", "clocked", "solar", "policy", "cursor")


def lock_schedule(schedule_id: int, *, wait: bool) -> PeriodicTask | None:
    """
    Lock a schedule until the transaction ends, and return it as it is now.

    None: it is gone or, without `wait`, somebody else has it: a beat that decides its slots, or
    a change that has not been committed. Either way another tick will find what there is to do.
    """
    _bound_idling()
    locked = PeriodicTask.objects.select_for_update(skip_locked=not wait, of=("self",), no_key=True)
    if not locked.filter(pk=schedule_id).values_list("pk", flat=True).first():
        return None
    # Read anew: a statement sees its tables as they were when it began, before it had the lock.
    return read_schedule(schedule_id)


def read_schedule(schedule_id: int) -> PeriodicTask | None:
    """Return a schedule with its times, its policy and its cursor; None if it is gone."""
    return PeriodicTask.objects.select_related(*RELATED).filter(pk=schedule_id).first()


def cursor_of(schedule: PeriodicTask, now: datetime) -> ScheduleCursor:
    """Return how far its ledger is complete; for a new schedule that is now."""
    if not hasattr(schedule, "cursor"):
        schedule.cursor, _ = ScheduleCursor.objects.get_or_create(
            schedule=schedule, defaults={"covered_until": now}
        )
    cursor: ScheduleCursor = schedule.cursor
    return cursor


def policy_of(schedule: PeriodicTask) -> SchedulePolicy:
    """Return its policy; one that was saved past Django's signals gets the defaults."""
    if not hasattr(schedule, "policy"):
        schedule.policy, _ = SchedulePolicy.objects.get_or_create(schedule=schedule)
    policy: SchedulePolicy = schedule.policy
    return policy


def _bound_idling() -> None:
    if statements.is_postgres():
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {statements.idle_limit(IDLE_SECONDS)}")

"""Keeps every state of a schedule's definition, and who made it so: the ledger is judged by it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Any

from django.db import transaction
from django_celery_beat.models import PeriodicTask

from jobs.database_clock import database_now
from jobs.models import ScheduleRevision
from jobs.schedules.definitions import DELETED, Definition, definition_of
from jobs.schedules.locking import cursor_of, lock_schedule, policy_of
from jobs.schedules.runs import let_go
from jobs.schedules.timing import InForce, joined

DELETED_MEANWHILE = "The schedule was deleted while the slot waited."

#: Who changes schedules in this thread; code that says nothing is "a program".
_changed_by: ContextVar[str] = ContextVar("changed_by", default="a program")


@contextmanager
def changed_by(who: str) -> Iterator[None]:
    """Name the person, or the command, that the changes in this block are made by."""
    token = _changed_by.set(who)
    try:
        yield
    finally:
        _changed_by.reset(token)


@transaction.atomic
def note_change(schedule_id: int) -> ScheduleRevision | None:
    """
    Write down a schedule's definition if it differs from the last one; None if it doesn't.

    It is in force from now, or from where the ledger is complete, whichever is later: a beat that
    decided slots while a change was under way has decided them by the old one. The lock makes a
    beat wait with the next slots until the change is committed.
    """
    schedule = lock_schedule(schedule_id, wait=True)
    if schedule is None:
        return None
    newest = newest_revision(schedule_id)
    revision = revise(schedule, newest)
    return None if revision == newest else revision


def revise(schedule: PeriodicTask, newest: ScheduleRevision | None) -> ScheduleRevision:
    """Return the revision in force; a new one where `newest` isn't. The caller holds the lock."""
    if not hasattr(schedule, "policy"):
        policy_of(schedule)
        # Its first save has noted this very change, by a signal.
        newest = newest_revision(schedule.pk)
    definition = definition_of(schedule)
    if newest and newest.definition == definition:
        return newest
    now = database_now()
    return ScheduleRevision.objects.create(
        schedule=schedule,
        schedule_name=schedule.name,
        from_at=max(now, cursor_of(schedule, now).covered_until),
        by=_changed_by.get()[:200],
        definition=definition,
        changes=_differences(newest.definition if newest else {}, definition),
    )


def note_deletion(schedule: PeriodicTask) -> None:
    """
    Write down that a schedule is about to go: it has no slots from now on.

    Those that no beat has decided are nobody's any more: how far the ledger is complete is kept.
    """
    locked = lock_schedule(schedule.pk, wait=True)
    if locked is None:
        return  # Somebody else was faster.
    now = database_now()
    let_go(schedule, DELETED_MEANWHILE)
    ScheduleRevision.objects.create(
        schedule=schedule,
        schedule_name=schedule.name,
        from_at=now,
        by=_changed_by.get()[:200],
        definition={**DELETED, "covered_until": cursor_of(locked, now).covered_until.isoformat()},
        changes={"deleted": [False, True]},
    )


def definitions_since(schedule_id: int, moment: datetime) -> list[InForce]:
    """
    Return `(from_at, definition)` of all that were in force after a moment, oldest first.

    Each from where its times hold: a change of anything else begins nothing.
    """
    revisions = ScheduleRevision.objects.filter(schedule_id=schedule_id)
    rows = revisions.order_by("from_at", "id").values_list("from_at", "definition")
    in_force = joined(list(rows))
    ends = [begin for begin, _ in in_force[1:]] + [None]
    return [each for each, end in zip(in_force, ends, strict=True) if end is None or end > moment]


def newest_revision(schedule_id: int) -> ScheduleRevision | None:
    return ScheduleRevision.objects.filter(schedule_id=schedule_id).order_by("from_at", "id").last()


def _differences(before: Definition, after: Definition) -> dict[str, list[Any]]:
    names = sorted(before.keys() | after.keys())
    pairs = {name: [before.get(name), after.get(name)] for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

"""Runs parts of the nightly clean-up as their schedule would, for a moment of the test's choice."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from jobs import enqueue
from jobs.models import Job, Slot
from jobs.states import SlotOutcome
from jobs.testing import run_enqueued_jobs

#: What the apps register for the night: each is a job of its own.
PARTS = {
    "accounts.delete_expired_invitations",
    "accounts.delete_expired_sessions",
    "dead_letters.delete_expired",
    "exports.delete_expired_files",
    "health.delete_expired_checks",
    "jobs.delete_expired_requests",
    "jobs.delete_settled_jobs",
    "metrics.delete_expired_events",
    "notifications.delete_expired",
    "results.delete_expired",
    "schedules.delete_expired_slots",
    "workflows.delete_expired",
    "workspace.archive_projects",
}

PATIENCE_SECONDS = 30


def make_slot(at: datetime, outcome: str = SlotOutcome.RAN, **columns: Any) -> Slot:
    columns = {"schedule_id": 1, "schedule_name": "daily_cleanup", **columns}
    return Slot.objects.create(at=at, outcome=outcome, **columns)


def run_part(task: Any, *, at: datetime) -> Job:
    """Run a part for the slot of this moment, and return its job."""
    enqueue(task, {}, slot_id=make_slot(at).pk)
    return run_enqueued_jobs()[-1]


@contextmanager
def meanwhile(action: Callable[[], Any]) -> Iterator[None]:
    """Do something in another transaction, which commits when the block ends."""
    done, may_end = threading.Event(), threading.Event()

    def run() -> None:
        try:
            with transaction.atomic():
                action()
                done.set()
                may_end.wait(PATIENCE_SECONDS)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert done.wait(PATIENCE_SECONDS)
    try:
        yield
    finally:
        may_end.set()
        thread.join()

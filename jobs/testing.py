"""Runs what a test enqueued, in this process, without a broker, by the engine's own code."""

from typing import Any

from celery import current_app
from celery.exceptions import Ignore, Reject, Retry
from django.db.models.functions import Now

from jobs.engine import lifecycle, message
from jobs.models import Job
from jobs.states import JobState

#: More jobs than a test can mean: one that enqueues itself for ever stops here.
JOBS_MAX = 1_000


def run_enqueued_jobs(*, raise_errors: bool = True) -> list[Job]:
    """
    Run every due job, and what these enqueue, until none is left; return them as they ended.

    Each is taken, claimed, run and settled as in a worker; the waits before retries are skipped.
    With `raise_errors` the first error of a job that failed for good is raised, after all ran.
    """
    ran: dict[str, None] = {}
    errors: list[Exception] = []
    while taken := _take():
        for each in taken:
            ran[each.id] = None
            if len(ran) > JOBS_MAX:
                raise AssertionError(f"Over {JOBS_MAX} jobs: does one enqueue itself for ever?")
            errors += _run(each)
    if raise_errors and errors:
        raise errors[0]
    return list(Job.objects.filter(pk__in=ran).order_by("pk"))


def _take() -> list[message.Message]:
    Job.objects.filter(state=JobState.RETRYING).update(run_at=Now())
    return [message.from_taken(row) for row in lifecycle.take_due(100)]


def _run(delivered: message.Message) -> list[Exception]:
    """Run one message and return the error that its job failed with, if it did."""
    task = current_app.tasks[delivered.headers["task"]]
    task.push_request(**_request(delivered))
    try:
        task(**(task.request.kwargs or {}))
    except (Ignore, Retry, Reject):
        pass  # How the engine tells Celery that the ledger has the rest.
    except Exception as error:
        return [error]
    finally:
        task.pop_request()
    return []


def _request(delivered: message.Message) -> dict[str, Any]:
    """Return what Celery's worker would make of the message."""
    payload = Job.objects.values_list("payload", flat=True).get(pk=delivered.id)
    return {
        **delivered.headers,
        "args": (),
        "kwargs": payload,
        "called_directly": False,
        "hostname": "in-process",
        "delivery_info": {"redelivered": False},
    }

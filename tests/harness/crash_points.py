"""
Named crash points: ends a process of the product exactly between two of its lasting effects.

Loaded by `JOBS_EXTRA_TASK_MODULES`; inert without `CRASH_AT`. The point's function is wrapped in
this process alone: the product knows nothing of it. docs/job-lifecycle.md has the points' table.
"""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from jobs import job_task, tasks
from jobs.alerts import channels
from jobs.engine import lifecycle, missing
from jobs.engine.dead_message import DeadMessage
from jobs.engine.delivery import Delivery
from jobs.engine.publisher import AmqpPublisher
from jobs.models import Job
from jobs.states import JobState
from jobs.workflows import sweep, timers
from notifications.api import notifications as mail_api
from notifications.api import syncs as sync_api
from notifications.channels.email import sending as email
from notifications.channels.webhook import sending as webhook
from notifications.operations import announcements, attempts, mails
from tests.harness.system import System
from tests.harness.tasks import add_row
from tests.harness.workflow_crash_points import (
    IN_REQUESTS,
    IN_STEPS,
    IN_TIMEOUTS,
    Call,
    WorkflowPoint,
    label_of_doomed,
)


@dataclass(frozen=True)
class Point:
    """Right before, or right after, a function of the product's own."""

    owner: Any
    function: str
    before: bool = False
    if_result: bool = False  #: Not where the function has found nothing to do.


POINTS = {
    "child.after_settled_failed": Point(Delivery, "_settle_failed"),
    "child.after_retrying": Point(Delivery, "retry_later"),
    "child.after_succeeded": Point(Delivery, "attempt"),
    "relay.after_take": Point(lifecycle, "take_due", if_result=True),
    "relay.after_publish": Point(AmqpPublisher, "_cork"),
    "relay.after_postponing": Point(missing, "_take_due", if_result=True),
    "record.on_arrival": Point(DeadMessage, "from_json", before=True),
    "record.before_storing": Point(tasks, "record", before=True),
    "record.after_storing": Point(tasks, "record"),
    "alert.after_post": Point(channels, "send"),
    "web.after_mail_stored": Point(mail_api, "answer_once"),
    "web.after_sync_stored": Point(sync_api, "answer_once"),
    "mail.before_begin": Point(mails, "begin", before=True),
    "mail.before_send": Point(email, "send", before=True),
    "mail.after_send": Point(email, "send"),
    "sync.before_begin": Point(attempts, "begin", before=True),
    "sync.before_post": Point(webhook, "post", before=True),
    "sync.after_post": Point(webhook, "post"),
    "sync.before_commit": Point(attempts, "end_well"),
    "announce.before": Point(announcements, "announce", before=True),
    "announce.before_commit": Point(announcements, "announce"),
    "relay.before_timers_commit": Point(timers, "enqueue"),
    "relay.after_timers": Point(sweep, "enqueue_due_timers", if_result=True),
}

#: Where the processes of a workflow die that names the point in its state.
WORKFLOW_POINTS = IN_STEPS | IN_TIMEOUTS | IN_REQUESTS


def env_for(
    system: System, point: str = "", *, by: str = "child", record_wait_seconds: float = 0
) -> dict[str, str]:
    """
    Return the environment of a process that crashes at `point`, once; at several with commas.
    At a point of workflows, once for each workflow that names it; its mark has their label too.

    `by`: "child" ends the process that is there, "group" the worker with all its children, and
    "memory" raises MemoryError. `record_wait_seconds` shortens the ten minutes of patience.
    """
    return {
        "JOBS_EXTRA_TASK_MODULES": "tests.harness.tasks,tests.harness.crash_points",
        "CRASH_AT": point,
        "CRASH_BY": by,
        "CRASH_MARK": str(mark_of(system)),
        "CRASH_RECORD_WAIT_SECONDS": str(record_wait_seconds or ""),
    }


def mark_of(system: System, point: str = "") -> Path:
    """Return the file that is there once the crash has happened: one, or that at `point`."""
    return _mark(system.directory / "crashed", point)


def _mark(mark: Path, point: str) -> Path:
    return mark.with_name(f"{mark.name}.{point}") if point else mark


class Labelled(BaseModel):
    label: str


@job_task(name="tests.raise_without_retry", max_retries=0)
def raise_error(job: Job, payload: Labelled) -> None:
    raise RuntimeError("it can't be done")


@job_task(name="tests.raise_when_cancelled", atomic=False, max_retries=0)
def raise_when_cancelled(job: Job, payload: Labelled) -> None:
    """Leave an effect, wait until somebody has cancelled the job, and then raise."""
    with job.fence():
        add_row(job, payload.label)
    while not Job.objects.filter(pk=job.pk, state=JobState.CANCELLED).exists():
        time.sleep(0.02)
    raise RuntimeError("just after the cancel")


def _arm_for_workflows(name: str) -> None:
    point = WORKFLOW_POINTS[name]
    original: Callable[..., Any] = getattr(point.owner, point.function)

    @wraps(original)
    def crashing(*args: Any, **kwargs: Any) -> Any:
        arguments = (*args, *kwargs.values())
        if point.before:
            _crash_for(name, point, Call(arguments))
        result = original(*args, **kwargs)
        if not point.before:
            _crash_for(name, point, Call(arguments, result))
        return result

    setattr(point.owner, point.function, crashing)


def _crash_for(name: str, point: WorkflowPoint, call: Call) -> None:
    workflow_id = point.whose(call)
    label = workflow_id and label_of_doomed(workflow_id, name)
    if label:
        _crash(f"{name}.{label}")


def _arm(name: str) -> None:
    point = POINTS[name]
    original: Callable[..., Any] = getattr(point.owner, point.function)

    @wraps(original)
    def crashing(*args: Any, **kwargs: Any) -> Any:
        if point.before:
            _crash(name)
        result = original(*args, **kwargs)
        if not point.before and (result or not point.if_result) and _is_there(args):
            _crash(name)
        return result

    setattr(point.owner, point.function, crashing)


def _is_there(args: tuple[Any, ...]) -> bool:
    """Tell whether a publisher has sent its batch: the kernel's packets are let go at its end."""
    return args[1:] != (True,)


def _crash(name: str) -> None:
    """Once at each point: whoever comes after the dead goes on."""
    mark = Path(os.environ["CRASH_MARK"])
    try:
        _mark(mark, name).touch(exist_ok=False)
    except FileExistsError:
        return
    mark.touch()
    match os.environ["CRASH_BY"]:
        case "memory":
            raise MemoryError("no more")
        case "group":
            os.killpg(os.getpgrp(), signal.SIGKILL)
        case _:
            if name == "relay.after_publish":
                time.sleep(1)  # The broker has it now; its word of it is not read.
            os.kill(os.getpid(), signal.SIGKILL)


for armed in filter(None, os.environ.get("CRASH_AT", "").split(",")):
    _arm(armed) if armed in POINTS else _arm_for_workflows(armed)
if os.environ.get("CRASH_RECORD_WAIT_SECONDS"):
    tasks.DATABASE_WAIT_SECONDS = float(os.environ["CRASH_RECORD_WAIT_SECONDS"])  # type: ignore[assignment]

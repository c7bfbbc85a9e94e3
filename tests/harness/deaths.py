"""What tests of dead letters wait for, and what they read of one."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.backends.signals import connection_created

from jobs import enqueue
from jobs.models import DeadLetter
from tests.harness import ledger
from tests.harness.processes import Worker
from tests.harness.system import System
from tests.harness.tasks import do_nothing

#: A safety net for what takes a second or two, on a machine with much else to do.
SECONDS = 90

#: What a process writes to its log when it connects to the database, with its pid.
CONNECTED = "connected to the database:"


@dataclass(frozen=True)
class Death:
    """A dead letter, and what is joined to it."""

    row: DeadLetter
    cause: Any

    @property
    def attempts(self) -> int:
        return self.row.attempts


def say_who_connects() -> None:
    """Make this process, and its children, write CONNECTED and their pid to their log."""
    connection_created.connect(_say, dispatch_uid="tests.say_who_connects")


def _say(**_: Any) -> None:
    import os

    print(CONNECTED, os.getpid(), file=sys.__stderr__, flush=True)


def pids_that_connected(worker: Worker) -> set[int]:
    lines = [line for line in worker.log_text().splitlines() if CONNECTED in line]
    return {int(line.rpartition(" ")[2]) for line in lines}


def dead_letters_of(system: System, job_id: object) -> list[Death]:
    with system.orm():
        rows = DeadLetter.objects.filter(job_id=str(job_id)).order_by("id")
        return [Death(row, row.cause) for row in rows]


def all_dead_letters(system: System) -> list[Death]:
    with system.orm():
        return [Death(row, row.cause) for row in DeadLetter.objects.order_by("id")]


def wait_for_death(system: System, job_id: object) -> Death:
    """Wait until a job has failed, its dead letter is stored and all is quiet; return the one."""
    ledger.wait_for_state(system, job_id, "failed")
    system.wait_for(
        lambda: ledger.job_row(system, job_id)["dead_lettered_at"],
        seconds=SECONDS,
        what="its dead letter is stored",
    )
    wait_until_quiet(system)
    [death] = dead_letters_of(system, job_id)
    return death


def wait_for_new(system: System, known: Sequence[Death]) -> Death:
    """Wait until a dead letter is stored that is not known yet, and all is quiet; return it."""
    seen = {death.row.pk for death in known}

    def new() -> list[Death]:
        return [death for death in all_dead_letters(system) if death.row.pk not in seen]

    system.wait_for(new, seconds=SECONDS, what="another dead letter is stored")
    wait_until_quiet(system)
    [death] = new()
    return death


def wait_until_quiet(system: System) -> None:
    """Wait until the broker holds no message, taken or not, and no job is due a dead letter."""
    missing = """
        SELECT count(*) FROM jobs_job WHERE state = 'failed' AND dead_lettered_at IS NULL"""
    system.wait_for(
        lambda: not held_by_broker(system) and not system.value(missing),
        seconds=SECONDS,
        what="all is quiet",
    )


def held_by_broker(system: System) -> dict[str, int]:
    """Return how many messages each of the product's queues holds, where it holds any."""
    ours = {queue.name for queue in settings.CELERY_TASK_QUEUES}
    queues = system.rabbitmq.management.queues(system.name)
    held = {queue["name"]: queue.get("messages", 1) for queue in queues if queue["name"] in ours}
    return {name: count for name, count in held.items() if count}


def assert_works_on(system: System) -> None:
    """The next good job runs: one for each child, so that none of them is stuck."""
    with system.orm():
        jobs = [enqueue(do_nothing, {"label": "next"}) for _ in range(2)]
    for job in jobs:
        ledger.wait_for_state(system, job.pk, "succeeded")

"""Job types that die, each in its own way; those without `_once` have no retry left."""

import contextlib
import os
import resource
import signal
import sys
import time
from pathlib import Path

from celery.exceptions import SoftTimeLimitExceeded
from pydantic import BaseModel

from jobs import job_task
from jobs.errors import GiveUp
from jobs.models import Job


class Nothing(BaseModel):
    pass


class Strict(BaseModel):
    number: int


@job_task(name="tests.raise_error", max_retries=0)
def raise_error(job: Job, payload: Nothing) -> None:
    raise RuntimeError("it can't be done")


@job_task(name="tests.give_up")
def give_up(job: Job, payload: Nothing) -> None:
    raise GiveUp("another attempt can't end differently")


@job_task(name="tests.outlast_soft_limit", max_retries=0, soft_time_limit=1, time_limit=30)
def outlast_soft_limit(job: Job, payload: Nothing) -> None:
    time.sleep(20)


@job_task(name="tests.outlast_hard_limit", max_retries=0, soft_time_limit=1, time_limit=3)
def outlast_hard_limit(job: Job, payload: Nothing) -> None:
    """Deaf to the soft limit, as code is that waits inside a C library."""
    with contextlib.suppress(SoftTimeLimitExceeded):
        time.sleep(30)
    time.sleep(30)


@job_task(name="tests.lose_child", max_retries=0)
def lose_child(job: Job, payload: Nothing) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@job_task(name="tests.run_out_of_memory", max_retries=0)
def run_out_of_memory(job: Job, payload: Nothing) -> None:
    raise MemoryError("no more")


@job_task(name="tests.use_up_memory", max_retries=0)
def use_up_memory(job: Job, payload: Nothing) -> None:
    """Ask the system for memory, piece by piece, until it refuses."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    in_use = resource.getpagesize() * int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (in_use + 64 * 2**20, hard))
    pieces = []
    while True:
        pieces.append(bytearray(2**20))


@job_task(name="tests.exit", max_retries=0)
def exit_process(job: Job, payload: Nothing) -> None:
    sys.exit(3)


@job_task(name="tests.exit_at_once", max_retries=0)
def exit_at_once(job: Job, payload: Nothing) -> None:
    """End without the interpreter's own end, as a C library that aborts would."""
    os._exit(0)


@job_task(name="tests.outlast_hard_limit_once", max_retries=1, soft_time_limit=1, time_limit=2)
def outlast_hard_limit_once(job: Job, payload: Nothing) -> None:
    if job.attempt == 1:
        with contextlib.suppress(SoftTimeLimitExceeded):
            time.sleep(30)
        time.sleep(30)


@job_task(name="tests.lose_child_once", max_retries=1)
def lose_child_once(job: Job, payload: Nothing) -> None:
    if job.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)


@job_task(name="tests.kill_worker", max_retries=0)
def kill_worker(job: Job, payload: Nothing) -> None:
    """End the whole worker, as the kernel ends one that needs too much memory."""
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(30)


@job_task(name="tests.need_number", max_retries=0)
def need_number(job: Job, payload: Strict) -> None:
    """Its payload may fail the schema: a message of another program, or an older release."""

"""Job types that meet with an accident at a point of their own choosing."""

import os
import signal

from pydantic import BaseModel

from jobs import job_task
from jobs.models import Job
from tests.harness.tasks import add_row


class Accident(BaseModel):
    """Leave an effect called `label`; attempt 1 gets `signal` between the effect and its settle."""

    label: str
    signal: int = signal.SIGKILL


def meet_accident(job: Job, payload: Accident) -> None:
    """
    A SIGSTOP returns when a test sends SIGCONT; a SIGKILL never does.

    The sleeper's heartbeat would interrupt it as soon as it wakes. Here it is deaf to that, so
    that it goes on to its late write, and nothing but the fence refuses it.
    """
    if job.attempt == 1:
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        os.kill(os.getpid(), payload.signal)


@job_task(name="tests.atomic_accident")
def atomic_accident(job: Job, payload: Accident) -> None:
    add_row(job, payload.label)
    meet_accident(job, payload)


@job_task(name="tests.fenced_accident", atomic=False)
def fenced_accident(job: Job, payload: Accident) -> None:
    """Not atomic: the accident comes before the fence, as a slow network or disk would."""
    meet_accident(job, payload)
    with job.succeeding():
        add_row(job, payload.label)


@job_task(name="tests.accident_inside_fence", atomic=False)
def accident_inside_fence(job: Job, payload: Accident) -> None:
    """Not atomic: the process that has the accident holds the lock on the job's row."""
    with job.succeeding():
        add_row(job, payload.label)
        meet_accident(job, payload)


#: Every type above, by name.
ACCIDENTS = [task.name for task in (atomic_accident, fenced_accident, accident_inside_fence)]

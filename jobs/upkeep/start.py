"""Starts the parts of the nightly clean-up, each as a job of its own."""

from jobs.errors import EnqueueRefused, KeyInUse
from jobs.models import Job
from jobs.operations import enqueue
from jobs.upkeep import log_events, parts

#: At most one live job of each part: a second would find the first one's rows locked, or gone.
KEY = "cleanup"


def start_parts(job: Job) -> int:
    """
    Enqueue every part for the slot of `job`, in its transaction, and return how many.

    One that can't be started is logged, and stops none of the others.
    """
    return sum(_start(part, job) for part in parts.all_parts())


def _start(part: str, job: Job) -> bool:
    try:
        started = enqueue(part, {}, slot_id=job.slot_id, key=KEY)
    except KeyInUse as in_use:
        log_events.part_skipped(part, in_use.job)
        return False
    except EnqueueRefused as error:
        log_events.part_refused(part, error)
        return False
    log_events.part_started(part, started)
    return True

"""What can go wrong with a job, and what the reader should do about it."""

from typing import TYPE_CHECKING, Any

from celery.exceptions import Ignore

if TYPE_CHECKING:
    from jobs.models import Job
    from jobs.states import JobState


class JobError(Exception):
    """
    Base of every error of the engine. Catch a subclass, never this.

    Any may be pickled: Celery sends it from the child to its parent, and one that could not be
    made again there would end the worker.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _made_again, (type(self), self.args)


def _made_again(kind: type[JobError], args: tuple[Any, ...]) -> JobError:
    """Make an error from its message, past an `__init__` that asks for something else."""
    return kind.__new__(kind, *args)


class MoveRefused(JobError, Ignore):
    """
    Another process moved the job first. Expected; the caller stands down.

    It is a Celery `Ignore`, so an attempt that ends with it is acknowledged: no retry, no
    dead letter.
    """

    def __init__(self, job: "Job", wanted: "JobState | str") -> None:
        super().__init__(
            f"Job {job.pk} is no longer {job.state} in dispatch {job.dispatch}, attempt "
            f"{job.attempt}; it can't become {wanted}."
        )


class NotThisTime(JobError, Ignore):
    """The message is a copy that must not run: stale, a duplicate, or of a job that is settled."""


class TaskOutcome(JobError):
    """Raised by task code to say how its attempt ended."""


class GiveUp(TaskOutcome):
    """Another attempt can't end differently. The job fails now."""


class ComeAgain(TaskOutcome):
    """Base of the outcomes that say how long to wait."""

    seconds = 0.0  #: Of one that was pickled, whose parent has no use for it.

    def __init__(self, message: str, *, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class RetryAfter(ComeAgain):
    """The attempt failed, and the other side said when to come again: the next waits so long."""


class NotNow(ComeAgain):
    """Nothing was tried: what the job needs is known to be away. It waits and spends no attempt."""


class NotWanted(TaskOutcome):
    """What the job was for has ended otherwise. It is cancelled: no retry, no dead letter."""


class JobExpired(JobError):
    """The job's `expires_at` passed before a worker could start it."""


class LossesSpent(JobError):
    """Its process died more often than JOBS_LOSSES_MAX allows: a crash, or lack of memory."""


class NeverClaimed(JobError):
    """Twenty copies were sent and no worker took one. Is a worker of this lane running?"""


class ProcessDied(JobError):
    """Its process died without a word: the hard time limit, a kill, an exit, or lack of memory."""


class PlainTaskFailed(JobError):
    """A plain Celery task, no job, ended in an error. The worker's log and its result say which."""


class RefusedUnread(JobError):
    """No worker could read the message; the text says what is wrong with it."""


class Unroutable(JobError):
    """The broker has no queue for this job's lane. Run `manage.py declare_topology`."""


class EnqueueRefused(JobError, ValueError):
    """The job can't be stored as asked; the message says which argument is at fault."""


class UnknownTaskType(EnqueueRefused):
    """No `@job_task` has this name."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(f"No job type is named {name!r}. Known: {', '.join(known) or 'none'}.")


class PayloadRefused(EnqueueRefused):
    """The payload doesn't fit the type's model, or can't be stored."""


class PayloadTooLarge(PayloadRefused):
    """The payload has more than JOBS_PAYLOAD_MAX_BYTES. Pass ids, not contents."""


class KeyInUse(EnqueueRefused):
    """A live job of this tenant and type has the same key; `.job` is that job."""

    def __init__(self, job: "Job") -> None:
        super().__init__(f"Job {job.pk} is live and has the key {job.key!r}.")
        self.job = job


class UnknownJob(JobError):
    """There is no such job, or it belongs to another tenant."""


class NotLive(JobError):
    """The job has reached a final state; only live jobs can be cancelled."""


class NotReplayable(JobError):
    """Only a failed or cancelled job can be replayed, once; replay the newest of its line."""


class UnknownDeadLetter(JobError):
    """There is no such dead letter."""


class NotOpen(JobError):
    """The dead letter has been replayed or discarded, or its job had gone on without it."""


class DiscardRefused(JobError, ValueError):
    """A dead letter is discarded with a reason of at most 500 characters."""


class BulkReplayRefused(JobError, ValueError):
    """The rate or the share can't be; the text says which and what it may be."""


class EventRefused(JobError, ValueError):
    """The event can't be recorded as asked; the message says which argument is at fault."""


class BrokerUnreachable(JobError):
    """The broker refused, vanished or did not confirm. What was sent is unknown, not failed."""

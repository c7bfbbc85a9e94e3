"""The life of a job, written as data."""

from django.db import models

#: The tenant of work that belongs to no tenant. Never NULL: NULL is equal to nothing.
SYSTEM_TENANT = "00000000-0000-0000-0000-000000000000"


class JobState(models.TextChoices):
    WAITING = "waiting", "Waiting"  #: Known to the database only; due at `run_at`.
    QUEUED = "queued", "Queued"  #: Handed to the broker; no worker has taken it yet.
    RUNNING = "running", "Running"  #: One worker holds it and keeps its lease fresh.
    RETRYING = "retrying", "Retrying"  #: An attempt failed; the next is due at `run_at`.
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"  #: Out of attempts, or not worth another one.
    CANCELLED = "cancelled", "Cancelled"


SETTLED = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})
LIVE = frozenset(JobState) - SETTLED
DUE = (JobState.WAITING, JobState.RETRYING)  #: What the relay takes once `run_at` has come.
IN_FLIGHT = (JobState.QUEUED, JobState.RUNNING)  #: What counts against `max_in_flight`.

#: Every move a job may make. Settled states are missing on purpose: nothing leaves them.
MOVES: dict[JobState, frozenset[JobState]] = {
    JobState.WAITING: frozenset({JobState.QUEUED, JobState.FAILED, JobState.CANCELLED}),
    JobState.RETRYING: frozenset({JobState.QUEUED, JobState.FAILED, JobState.CANCELLED}),
    JobState.QUEUED: frozenset(
        {JobState.RUNNING, JobState.WAITING, JobState.FAILED, JobState.CANCELLED}
    ),
    JobState.RUNNING: frozenset({JobState.RUNNING, JobState.RETRYING, JobState.WAITING, *SETTLED}),
}


class Outcome(models.TextChoices):
    """How one execution of a job ended."""

    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"  #: An error; the job retries or is dead.
    LOST = "lost", "Lost"  #: It ended without a word: killed, or its lease ran out.
    HANDED_OVER = "handed_over", "Handed over"  #: Its worker was told to stop.
    CANCELLED = "cancelled", "Cancelled"


#: The outcomes that spend an attempt, as the API counts them.
SPENT = (Outcome.SUCCEEDED, Outcome.FAILED)


class WorkflowStatus(models.TextChoices):
    """The life of a workflow: from `processing` to one of the others, which nothing leaves."""

    PROCESSING = "processing", "Processing"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    TIMEOUT = "timeout", "Timeout"
    CANCELLED = "cancelled", "Cancelled"


class StepStatus(models.TextChoices):
    WAITING = "waiting", "Waiting"  #: For a worker, or for whoever sends it.
    RUNNING = "running", "Running"  #: Begun; also while it waits for its next attempt.
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"  #: Its workflow ended before it.


class DeadLetterState(models.TextChoices):
    OPEN = "open", "Open"  #: Waits for somebody.
    REPLAYED = "replayed", "Replayed"  #: Runs, or ran, as a new job.
    DISCARDED = "discarded", "Discarded"
    SUPERSEDED = "superseded", "Superseded"  #: Its job had gone on without it: nothing to do.


class AlertKind(models.TextChoices):
    DEAD_LETTER = "dead_letter", "Dead letter"
    DEAD_LETTER_AGE = "dead_letter_age", "Dead letter left open"
    RELAY_LAG = "relay_lag", "Relay lag"
    CRON_FAILURE = "cron_failure", "Failed schedule"
    BEAT_SILENT = "beat_silent", "Silent beat"
    HEALTH = "health", "Health"
    WORKFLOW_TIMEOUT = "workflow_timeout", "Workflow timed out"


class Channel(models.TextChoices):
    WEBHOOK = "webhook", "Webhook"
    EMAIL = "email", "E-mail"


class DeliveryState(models.TextChoices):
    PENDING = "pending", "Pending"
    DELIVERED = "delivered", "Delivered"
    UNDELIVERED = "undelivered", "Undelivered"  #: Tried for a day, in vain.


class BulkState(models.TextChoices):
    RUNNING = "running", "Running"
    FINISHED = "finished", "Finished"
    STOPPED = "stopped", "Stopped"  #: Too many failed, or somebody stopped it.


class MissedPolicy(models.TextChoices):
    """What becomes of slots that no beat was there for, or that are over their grace."""

    SKIP = "skip", "Skip them"
    RUN_ONCE = "run_once", "Run once for all of them"
    RUN_ALL = "run_all", "Run all of them, in order"


class OverlapPolicy(models.TextChoices):
    """What becomes of a slot whose predecessor's jobs are still live."""

    ALLOW = "allow", "Run beside it"
    SKIP = "skip", "Skip the slot"
    WAIT = "wait", "Wait for it"


class SlotOutcome(models.TextChoices):
    """What became of one nominal time of a schedule."""

    WAITING = "waiting", "Waiting"  #: For its predecessor, or for its turn to be caught up.
    RAN = "ran", "Ran"
    LATE = "late", "Late"
    CAUGHT_UP = "caught_up", "Caught up"
    SKIPPED_BY_OVERLAP = "overlap", "Skipped: overlap"
    SKIPPED_BY_PAUSE = "pause", "Skipped: paused"
    SKIPPED_BY_POLICY = "policy", "Skipped: missed"
    FAILED = "failed", "Failed"  #: It could not be enqueued, or one of its jobs failed for good.

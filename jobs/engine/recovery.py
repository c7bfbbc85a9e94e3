"""Finds jobs whose worker or message is gone, and brings them back."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max, Q
from django.db.models.functions import Now

from jobs import log_events
from jobs.engine import lifecycle, message
from jobs.engine.publisher import Publisher
from jobs.errors import JobExpired, LossesSpent, MoveRefused, NeverClaimed
from jobs.models import Job
from jobs.states import IN_FLIGHT, JobState, Outcome

#: Copies sent to one lane in one sweep: a wiped broker is refilled at a bounded rate.
COPIES_PER_SWEEP = 100

#: Copies of one dispatch that no worker claimed, after which something else must be wrong.
COPIES_MAX = 20

#: A lane is first in, first out: one handed over this much later, and claimed, proves a loss.
OVERTAKEN_AFTER = timedelta(minutes=1)


@dataclass
class Sweeper:
    """Looks at the ledger now and then; remembers since when each lane is empty."""

    publisher: Publisher
    empty_since: dict[str, float] = field(default_factory=dict)

    def sweep(self, *, trust_empty_lanes: bool = False) -> tuple[int, int, int]:
        """
        Put back what went silent and send lost messages again; return how many of each, and failed.

        `trust_empty_lanes` skips the wait for a lane to stay empty: for an operator who knows
        that the broker was wiped.

        :raises Unconfirmed: when the broker is away.
        """
        silent = put_back_silent()
        expired = fail_expired()
        copied = failed = 0
        for queue in settings.CELERY_TASK_QUEUES:
            lost, hopeless = self._lost_of(queue.name, trust_empty_lanes)
            failed += fail_hopeless(hopeless)
            copied += self._send_copies(lost)
        if silent or copied or failed or expired:
            log_events.recovered(silent, copied, failed + expired)
        return silent, copied, failed + expired

    def _lost_of(self, lane: str, trust_empty: bool) -> tuple[list[Job], list[Job]]:
        """Return the lane's queued jobs whose message must be gone, and those past all hope."""
        stale = Job.objects.filter(queue=lane, state=JobState.QUEUED).exclude(
            copied_at__gt=Now() - timedelta(seconds=settings.JOBS_COPY_INTERVAL_SECONDS)
        )
        if not (trust_empty and self._is_empty(lane)):
            grace = Now() - timedelta(seconds=settings.JOBS_STALL_AFTER_SECONDS)
            overtaken = Q(queued_at__lt=_newest_claim(lane) - OVERTAKEN_AFTER)
            stale = stale.filter(Q(queued_at__lt=grace) if self._stays_empty(lane) else overtaken)
        jobs = list(stale.order_by("queued_at")[:COPIES_PER_SWEEP])
        hopeless = [job for job in jobs if job.copies >= COPIES_MAX]
        return [job for job in jobs if job.copies < COPIES_MAX], hopeless

    def _is_empty(self, lane: str) -> bool:
        return not self.publisher.ready_messages(lane)

    def _stays_empty(self, lane: str) -> bool:
        """Tell whether every look for JOBS_STALL_AFTER_SECONDS has found no ready message."""
        if not self._is_empty(lane):
            self.empty_since.pop(lane, None)
            return False
        since = self.empty_since.setdefault(lane, time.monotonic())
        return time.monotonic() - since >= settings.JOBS_STALL_AFTER_SECONDS

    def _send_copies(self, jobs: list[Job]) -> int:
        """
        Send a copy of the same dispatch: whichever comes first is claimed, the other is stale.

        Counted before it is sent: a relay that dies between the two tries again in 15 minutes.
        """
        if jobs:
            Job.objects.filter(pk__in=[job.pk for job in jobs], state=JobState.QUEUED).update(
                copies=F("copies") + 1, copied_at=Now()
            )
            self.publisher.send([message.from_job(job) for job in jobs])
        return len(jobs)


def put_back_silent() -> int:
    """Return running jobs with a dead lease to `waiting`; those that died too often fail."""
    silent = Job.objects.filter(state=JobState.RUNNING, lease_until__lt=Now())
    return sum(_survives_refusal(job, _put_back_or_fail) for job in silent[:1000])


def put_back_held() -> int:
    """
    Return every job in flight to `waiting`: for a start that knows no other process is at work.

    What ran counts a loss, for its process ended without a word; what was queued was in its memory.
    """
    held = list(Job.objects.filter(state__in=IN_FLIGHT))
    count = sum(_survives_refusal(job, _put_back_held) for job in held)
    if count:
        log_events.recovered(count, 0, 0)
    return count


def hand_over_running() -> int:
    """Return every running job to `waiting`, no attempt spent: for the end of the only worker."""
    running = list(Job.objects.filter(state=JobState.RUNNING))
    return sum(_survives_refusal(job, _hand_over) for job in running)


def fail_expired() -> int:
    """Fail jobs that waited for their slot past `expires_at`."""
    expired = Job.objects.filter(
        state__in=(JobState.WAITING, JobState.RETRYING), expires_at__lt=Now()
    )
    return sum(_survives_refusal(job, _fail_expired) for job in expired[:1000])


def fail_hopeless(jobs: Iterable[Job]) -> int:
    return sum(_survives_refusal(job, _fail_unclaimed) for job in jobs)


def _put_back_or_fail(job: Job, why: str = "its lease is over") -> None:
    if job.losses < settings.JOBS_LOSSES_MAX:
        lifecycle.put_back(job, why, outcome=Outcome.LOST)
    else:
        lifecycle.fail(job, LossesSpent(f"Its process died {job.losses + 1} times."), ran=False)


def _put_back_held(job: Job) -> None:
    if job.state == JobState.RUNNING:
        _put_back_or_fail(job, "its process ended")
    else:
        lifecycle.put_back(job, "its message was in the memory of a process that ended")


def _hand_over(job: Job) -> None:
    lifecycle.put_back(job, "its process stops", outcome=Outcome.HANDED_OVER)


def _fail_expired(job: Job) -> None:
    lifecycle.fail(job, JobExpired(f"It expired at {job.expires_at}."), ran=False)


def _fail_unclaimed(job: Job) -> None:
    lifecycle.fail(job, NeverClaimed(f"No worker took any of {job.copies} copies."), ran=False)


def _survives_refusal(job: Job, move: Callable[[Job], None]) -> bool:
    try:
        with transaction.atomic():
            # A process that hangs inside its fence holds the row; a wait for it would be ours too.
            free = Job.objects.select_for_update(skip_locked=True, no_key=True).filter(pk=job.pk)
            if not free.values_list("pk").first():
                return False
            move(job)
    except MoveRefused:
        return False  # It showed a sign of life, was claimed or cancelled: somebody looks after it.
    return True


def _newest_claim(lane: str) -> datetime:
    """Return when the newest job of this lane that runs now was handed over."""
    running = Job.objects.filter(queue=lane, state=JobState.RUNNING)
    newest: datetime | None = running.aggregate(at=Max("queued_at"))["at"]
    return newest or datetime.min.replace(tzinfo=UTC) + OVERTAKEN_AFTER

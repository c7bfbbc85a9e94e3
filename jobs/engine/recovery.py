"""Finds jobs whose worker or message is gone, and brings them back."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Max, QuerySet
from django.db.models.functions import Now

from jobs import log_events
from jobs.engine import lifecycle, message
from jobs.engine.patience import AWAY
from jobs.engine.publisher import Publisher
from jobs.errors import JobExpired, LossesSpent, NeverClaimed
from jobs.lanes import lane_names
from jobs.models import Job
from jobs.states import DUE, IN_FLIGHT, JobState, Outcome

#: Copies sent to one lane in one sweep: a wiped broker is refilled at a bounded rate.
COPIES_PER_SWEEP = 100

#: Jobs put back or failed in one sweep, for each reason; the next sweep goes on.
MOVES_PER_SWEEP = 1_000

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
        silent, failed, copied = put_back_silent(), fail_expired(), 0
        for lane in lane_names():
            lost = self._lost_of(lane, trust_empty_lanes)
            failed += fail_hopeless(lost)
            copied += self._send_copies(lost.filter(copies__lt=COPIES_MAX))
        if silent or copied or failed:
            log_events.recovered(silent, copied, failed)
        return silent, copied, failed

    def _lost_of(self, lane: str, trust_empty: bool) -> QuerySet[Job]:
        """Return the lane's queued jobs whose message must be gone."""
        stale = Job.objects.filter(queue=lane, state=JobState.QUEUED).exclude(
            copied_at__gt=Now() - timedelta(seconds=settings.JOBS_COPY_INTERVAL_SECONDS)
        )
        if trust_empty and self._is_empty(lane):
            return stale
        if self._stays_empty(lane):
            grace = timedelta(seconds=settings.JOBS_STALL_AFTER_SECONDS)
            return stale.filter(queued_at__lt=Now() - grace)
        return stale.filter(queued_at__lt=_newest_claim(lane) - OVERTAKEN_AFTER)

    def _is_empty(self, lane: str) -> bool:
        return not self.publisher.ready_messages(lane)

    def _stays_empty(self, lane: str) -> bool:
        """Tell whether every look for JOBS_STALL_AFTER_SECONDS has found no ready message."""
        if not self._is_empty(lane):
            self.empty_since.pop(lane, None)
            return False
        since = self.empty_since.setdefault(lane, time.monotonic())
        return time.monotonic() - since >= settings.JOBS_STALL_AFTER_SECONDS

    def _send_copies(self, lost: QuerySet[Job]) -> int:
        """
        Send a copy of the same dispatch: whichever comes first is claimed, the other is stale.

        Counted before it is sent: a relay that dies between the two tries again in 15 minutes.
        Losing the race for a row means that another relay counts and sends it, or a worker claims.
        """
        with transaction.atomic():
            jobs = list(_unheld(lost).order_by("queued_at")[:COPIES_PER_SWEEP])
            Job.objects.filter(pk__in=[job.pk for job in jobs]).update(
                copies=F("copies") + 1, copied_at=Now()
            )
        if jobs:
            self.publisher.send([message.from_job(job) for job in jobs])
        return len(jobs)


def put_back_silent() -> int:
    """Return running jobs with a dead lease to `waiting`; those that died too often fail."""
    silent = Job.objects.filter(state=JobState.RUNNING, lease_until__lt=Now())
    return _move_each(silent, _put_back_or_fail)


def put_back_held() -> int:
    """
    Return every job in flight to `waiting`: for a start that knows no other process is at work.

    What ran counts a loss, for its process ended without a word; what was queued was in its memory.
    """
    count = _move_each(Job.objects.filter(state__in=IN_FLIGHT), _put_back_held, limit=None)
    if count:
        log_events.recovered(count, 0, 0)
    return count


def hand_over_running() -> int:
    """Return every running job to `waiting`, no attempt spent: for the end of the only worker."""
    return _move_each(Job.objects.filter(state=JobState.RUNNING), _hand_over, limit=None)


def fail_expired() -> int:
    """Fail jobs that waited for their slot past `expires_at`."""
    return _move_each(Job.objects.filter(state__in=DUE, expires_at__lt=Now()), _fail_expired)


def fail_hopeless(lost: QuerySet[Job]) -> int:
    """Fail lost jobs of which copy after copy was sent, and none was ever claimed."""
    return _move_each(lost.filter(copies__gte=COPIES_MAX), _fail_unclaimed)


def _put_back_or_fail(job: Job, why: str = "its lease is over") -> None:
    if job.losses < settings.JOBS_LOSSES_MAX:
        lifecycle.put_back(job, why, outcome=Outcome.LOST)
    else:
        lifecycle.fail(
            job, LossesSpent(f"Its process died {job.losses + 1} times."), outcome=Outcome.LOST
        )


def _put_back_held(job: Job) -> None:
    if job.state == JobState.RUNNING:
        _put_back_or_fail(job, "its process ended")
    else:
        lifecycle.put_back(job, "its message was in the memory of a process that ended")


def _hand_over(job: Job) -> None:
    lifecycle.put_back(job, "its process stops", outcome=Outcome.HANDED_OVER)


def _fail_expired(job: Job) -> None:
    lifecycle.fail(job, JobExpired(f"It expired at {job.expires_at}."), outcome=None)


def _fail_unclaimed(job: Job) -> None:
    lifecycle.fail(job, NeverClaimed(f"No worker took any of {job.copies} copies."), outcome=None)


def _move_each(
    jobs: QuerySet[Job], move: Callable[[Job], None], *, limit: int | None = MOVES_PER_SWEEP
) -> int:
    """Move each of these jobs that still is what the query says; return how many."""
    keys = list(jobs.values_list("pk", flat=True)[:limit])
    return sum(_move_one(jobs.filter(pk=key), move) for key in keys)


def _move_one(jobs: QuerySet[Job], move: Callable[[Job], None]) -> bool:
    """
    Move the one job of the query in a transaction of its own.

    None under the lock means that it showed a sign of life, moved, or is held by one who will.
    An error of the type's hook is this job's alone: the sweep goes on, and tries again next time.
    """
    try:
        with transaction.atomic():
            job = _unheld(jobs).first()
            if job:
                move(job)
            return job is not None
    except AWAY:
        raise
    except Exception as error:
        log_events.recovery_failed(jobs.first(), error)
        return False


def _unheld(jobs: QuerySet[Job]) -> QuerySet[Job]:
    """
    Lock the rows that nobody holds, and look again whether they still are what the query says.

    A process that hangs inside its fence holds its row; a wait for it would be ours too.
    """
    return jobs.select_for_update(skip_locked=True, no_key=True)


def _newest_claim(lane: str) -> datetime:
    """Return when the newest job of this lane that runs now was handed over."""
    running = Job.objects.filter(queue=lane, state=JobState.RUNNING)
    newest: datetime | None = running.aggregate(at=Max("queued_at"))["at"]
    return newest or datetime.min.replace(tzinfo=UTC) + OVERTAKEN_AFTER

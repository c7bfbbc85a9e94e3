"""One delivery of a job's message to a worker, from its claim to its end."""

import contextlib
import threading
import time
import uuid
from datetime import timedelta
from itertools import count
from typing import Any, NoReturn

from celery.exceptions import Ignore, Reject, Retry, SoftTimeLimitExceeded
from django.conf import settings

from jobs import log_events
from jobs.engine import claim, lifecycle, stopping
from jobs.engine.heartbeat import heartbeat
from jobs.engine.patience import drop_if_cut, patiently
from jobs.errors import MoveRefused, NotNow, NotWanted
from jobs.models import Job
from jobs.registry import JobType
from jobs.states import JobState, Outcome

#: As the column is long.
WORKER_MAX_CHARACTERS = 200

#: How much of a soft limit may be spent before waiting for the database would come too near it.
SHARE_OF_SOFT_LIMIT = 0.8


class Delivery:
    """What a worker does with one message: one attempt at most."""

    def __init__(self, job_type: JobType, request: Any, payload: dict[str, Any]) -> None:
        self._type = job_type
        self._message = claim.Message(
            id=uuid.UUID(request.id),
            type=job_type.name,
            dispatch=request.get("dispatch"),
            redelivered=bool((request.delivery_info or {}).get("redelivered")),
            payload=payload,
            tenant_id=request.get("tenant_id"),
            user_id=request.get("user_id"),
        )
        # Two children of a node have the same host name. On Linux a child's number is its pid.
        worker = f"{request.hostname or 'in-process'}:{threading.get_native_id()}"
        self._worker = worker[:WORKER_MAX_CHARACTERS]
        self._until: float | None = None
        self._claimed: Job | None = None
        self._wait: tuple[Exception, timedelta] | None = None

    @property
    def job(self) -> Job:
        """The job, once this delivery has claimed it."""
        if self._claimed is None:
            raise ValueError(f"The message of job {self._message.id} has not claimed it.")
        return self._claimed

    def attempt(self, run: Any, *, soft_limit: float | None) -> None:
        """
        Claim the job, run it, and settle an ordinary failure before Celery hears of it.

        `run` is the task's own, under Celery's autoretry: it comes back to `work`.
        """
        wait = soft_limit or settings.JOBS_DATABASE_WAIT_SECONDS
        self._until = time.monotonic() + wait * SHARE_OF_SOFT_LIMIT
        self._claimed = job = self._claim()
        with heartbeat.keep(job):
            try:
                run()
            except MoveRefused as refused:
                log_events.stood_down(job, str(refused))
                raise
            except (Ignore, Retry, Reject):
                raise
            except NotNow as later:
                self._wait_for(later)
            except NotWanted as why:
                self._cancel_claimed(why)
            except Exception as error:
                self._fail(error)

    def work(self) -> None:
        """Run the type's function and settle the job, in one transaction if the type is atomic."""
        payload = self._type.read(self.job.payload)
        if self._type.atomic:
            self._work_atomically(payload)
        else:
            self._type.function(self.job, payload)
            if self.job.state == JobState.RUNNING:
                patiently("settle", self._succeed, until=self._until)
        log_events.succeeded(self.job)

    def retry_later(self, error: Exception, wait: timedelta) -> None:
        """Store the wait before the next attempt."""
        stopping.raise_what_was_hidden()
        self._wait = error, wait
        patiently("retry", lambda: lifecycle.retry_later(self.job, error, wait), until=self._until)

    def _wait_for(self, later: NotNow) -> NoReturn:
        """Put the job back for a while, unspent. Losing the race means that it was cancelled."""
        stopping.raise_what_was_hidden()
        rest = timedelta(seconds=later.seconds)
        patiently(
            "put back",
            lambda: lifecycle.put_back(self.job, str(later), rest=rest),
            until=self._until,
        )
        raise Ignore

    def _cancel_claimed(self, why: NotWanted) -> NoReturn:
        """Losing the race means that somebody else has ended it."""
        stopping.raise_what_was_hidden()
        patiently("cancel", lambda: lifecycle.cancel(self.job, by=str(why)), until=self._until)
        raise Ignore

    def let_go(self) -> NoReturn:
        """
        Hand the job over if it is still this attempt's, and spend none; otherwise stand down.

        One that is not claimed yet goes back to its queue, and so does one that can't be handed
        over because the database is away: a worker that stops does not wait.
        """
        patiently("hand over", self._hand_over, until=time.monotonic())
        raise Ignore

    def revoke(self) -> NoReturn:
        """Cancel the job, which somebody has revoked by Celery's remote control."""
        patiently("revoke", self._cancel)
        raise Ignore

    def _cancel(self) -> None:
        """Losing the race for a live job means that it moved: look again."""
        while (job := Job.objects.filter(pk=self._message.id).first()) and not job.is_settled:
            with contextlib.suppress(MoveRefused):
                lifecycle.cancel(job, by="Celery's revoke")

    def _claim(self) -> Job:
        """
        Claim the job. A database that hangs, and does not even refuse, costs it nothing.

        :raises Reject: with requeue, at the soft limit: the job has not run.
        """
        tries = count()
        try:
            return patiently(
                "claim",
                lambda: claim.claim(self._message, worker=self._worker, again=next(tries) > 0),
                until=self._until,
            )
        except SoftTimeLimitExceeded as silence:
            drop_if_cut()
            raise Reject(silence, requeue=True) from silence

    def _work_atomically(self, payload: Any) -> None:
        try:
            with lifecycle.transaction_of(self.job):
                self._type.function(self.job, payload)
                lifecycle.succeed(self.job)
        except Retry:
            # Asked for by the function: the wait it stored was rolled back with its effects.
            if self._wait:
                self.retry_later(*self._wait)
            raise

    def _succeed(self) -> None:
        with lifecycle.transaction_of(self.job):
            lifecycle.succeed(self.job)

    def _fail(self, error: Exception) -> NoReturn:
        stopping.raise_what_was_hidden()
        try:
            patiently("settle", lambda: self._settle_failed(error), until=self._until)
        except MoveRefused as refused:
            log_events.stood_down(self.job, str(refused))
            raise
        raise error

    def _settle_failed(self, error: Exception) -> None:
        lifecycle.fail(self.job, error, message_follows=True)

    def _hand_over(self) -> None:
        """Ask afresh: the signal may have come before the claim was known, or after the settle."""
        job = Job.objects.filter(pk=self._message.id).first()
        current = job is not None and job.dispatch == (self._message.dispatch or 0)
        if job is None or (current and job.state == JobState.QUEUED):
            # None: another program's, not stored yet.
            raise Reject("interrupted before it was claimed", requeue=True)
        known = self._claimed
        mine = current and job.state == JobState.RUNNING and job.worker == self._worker
        if mine and (known is None or known.attempt == job.attempt):
            # Losing the race means that it was cancelled: MoveRefused is acknowledged too.
            lifecycle.put_back(job, "its worker stops", outcome=Outcome.HANDED_OVER)
        else:
            log_events.stood_down(known or job, f"interrupted; the job is {job.state}")

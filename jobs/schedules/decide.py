"""What becomes of a slot, by its schedule's policy; nothing is written here."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django_celery_beat.models import PeriodicTask

from jobs.models import SchedulePolicy
from jobs.states import MissedPolicy, OverlapPolicy, SlotOutcome

#: A slot that runs this soon after its time is not called late.
ON_TIME = timedelta(seconds=5)


@dataclass
class Line:
    """A schedule while its slots are decided, oldest first: what runs and what waits so far."""

    policy: SchedulePolicy
    now: datetime
    busy: bool  #: A job of an earlier slot is live.
    waiting: int  #: Slots that wait already.
    expired: bool = False  #: The schedule has ended, and every job of it would end unrun.

    def decide(self, at: datetime, *, is_newest: bool) -> SlotOutcome:
        """Return the outcome of the next slot. `is_newest`: none after it is due yet."""
        if is_paused(self.policy, at):
            return SlotOutcome.SKIPPED_BY_PAUSE
        if self.expired:
            return SlotOutcome.SKIPPED_BY_POLICY
        if is_missed(self.policy, at, self.now):
            outcome = self._of_missed(at, is_newest=is_newest)
        else:
            outcome = self._of_due(at)
        self.busy = self.busy or outcome in (SlotOutcome.RAN, SlotOutcome.LATE)
        self.waiting += outcome == SlotOutcome.WAITING
        return outcome

    def _of_missed(self, at: datetime, *, is_newest: bool) -> SlotOutcome:
        wanted = {
            MissedPolicy.SKIP: False,
            MissedPolicy.RUN_ONCE: is_newest,
            MissedPolicy.RUN_ALL: True,
        }[MissedPolicy(self.policy.missed)]
        too_old = self.now - at > timedelta(seconds=self.policy.catch_up_seconds)
        if not wanted or too_old or self._is_full:
            return SlotOutcome.SKIPPED_BY_POLICY
        return SlotOutcome.WAITING

    def _of_due(self, at: datetime) -> SlotOutcome:
        free = self.policy.overlap == OverlapPolicy.ALLOW or not (self.busy or self.waiting)
        if free:
            return SlotOutcome.RAN if self.now - at <= ON_TIME else SlotOutcome.LATE
        # Behind slots that are being caught up a slot waits even where overlap is skipped: it is
        # not too much work, it is the next in the line.
        waits = self.policy.overlap == OverlapPolicy.WAIT or (self.waiting and not self.busy)
        if waits and not self._is_full:
            return SlotOutcome.WAITING
        return SlotOutcome.SKIPPED_BY_OVERLAP

    @property
    def _is_full(self) -> bool:
        return self.waiting >= self.policy.waiting_max


def is_expired(schedule: PeriodicTask, now: datetime) -> bool:
    """Tell whether a job that the schedule starts now could only expire, as its schedule has."""
    return schedule.expires is not None and now >= schedule.expires


def is_missed(policy: SchedulePolicy, at: datetime, now: datetime) -> bool:
    return now - at > timedelta(seconds=policy.grace_seconds)


def is_paused(policy: SchedulePolicy, at: datetime) -> bool:
    """Tell whether a slot's own time lies in the pause, whenever it is decided."""
    if policy.paused_until is None or at >= policy.paused_until:
        return False
    return policy.paused_from is None or at >= policy.paused_from

"""Where the bar of a step lies on the line from the workflow's start to its end, or to now."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone

from jobs.models import Workflow

#: Narrower could not be seen. In percent of the whole.
WIDTH_MIN_PERCENT = 0.6


@dataclass(frozen=True)
class Bar:
    """In percent of the whole: a pale part until its newest attempt began, then a solid one."""

    left: float
    waiting: float
    width: float


@dataclass(frozen=True)
class Times:
    """When a step may begin, when its newest attempt began, and when it ended."""

    waiting_at: datetime
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True)
class Whole:
    """The time that a workflow has taken, or takes."""

    start: datetime
    end: datetime

    def bar(self, times: Times) -> Bar:
        end = self._percent(times.ended_at or self.end)
        begun = self._percent(times.started_at) if times.started_at else end
        width = max(end - begun, WIDTH_MIN_PERCENT) if times.started_at else 0
        begun = min(begun, 100 - width)
        left = min(self._percent(times.waiting_at), begun)
        return Bar(left=left, waiting=round(begun - left, 2), width=round(width, 2))

    def took(self, times: Times) -> timedelta:
        """Return how long its newest attempt has taken so far."""
        end = times.ended_at or self.end
        return max(end - (times.started_at or end), timedelta(0))

    @property
    def length(self) -> timedelta:
        return self.end - self.start

    def _percent(self, moment: datetime) -> float:
        if self.length <= timedelta(0):
            return 0.0
        return round(min(max((moment - self.start) / self.length, 0), 1) * 100, 2)


def whole_of(workflow: Workflow) -> Whole:
    return Whole(workflow.created_at, workflow.ended_at or timezone.now())

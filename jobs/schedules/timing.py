"""Nominal slots: the times at which a schedule is due by its definition, whatever happens then."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any, Protocol

from jobs.schedules.crontab import Crontab, zone_named
from jobs.schedules.errors import BrokenSchedule

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: The calendar ends here: an interval of thousands of years never comes.
_LAST = datetime.max.replace(tzinfo=UTC)

#: A shorter interval would make more rows than a database should be asked for.
SHORTEST_INTERVAL = timedelta(seconds=1)

Definition = Mapping[str, Any]

#: A definition, and from when it is in force.
InForce = tuple[datetime, Definition]

#: What of a definition its slots depend on.
TIMES = (
    "crontab", "timezone", "interval", "clocked", "start_time", "expires", "one_off", "enabled",
)  # fmt: skip


class Timing(Protocol):
    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the slots after a moment, in UTC, in order."""


@dataclass(frozen=True)
class Interval:
    """Every so often: multiples of `every` since the schedule's start, or since 1970 UTC."""

    every: timedelta
    anchor: datetime = EPOCH

    def after(self, moment: datetime) -> Iterator[datetime]:
        turn = max((moment - self.anchor) // self.every + 1, 0)
        while turn <= (_LAST - self.anchor) // self.every:
            yield self.anchor + turn * self.every
            turn += 1


@dataclass(frozen=True)
class Clocked:
    """Once."""

    at: datetime

    def after(self, moment: datetime) -> Iterator[datetime]:
        if self.at > moment:
            yield self.at


def timing_of(definition: Definition) -> Timing:
    """
    Return the timing that a definition (`definitions.definition_of`) describes.

    :raises BrokenSchedule: if it describes none, or one that can't be kept.
    """
    if definition.get("crontab"):
        return Crontab(definition["crontab"], zone_named(definition["timezone"]))
    if definition.get("interval"):
        return _interval(definition)
    if definition.get("clocked"):
        return Clocked(datetime.fromisoformat(definition["clocked"]))
    if definition.get("solar"):
        raise BrokenSchedule("solar: its times can't be told in advance, so no slot could be kept.")
    raise BrokenSchedule("It has no crontab, interval or clocked time.")


def slots_after(definition: Definition, moment: datetime) -> Iterator[datetime]:
    """
    Yield a definition's slots after a moment: from its start, before its expiry, if it is enabled.

    A one-off schedule has one slot: the caller names the moment from which it has been in force.

    :raises BrokenSchedule: if the definition can't be read.
    """
    if not definition["enabled"]:
        return
    start, expires = _moment(definition, "start_time"), _moment(definition, "expires")
    slots: Iterable[datetime] = timing_of(definition).after(moment)
    if start and start > moment:
        # A moment earlier: a slot at the start itself belongs to it.
        slots = timing_of(definition).after(start - timedelta(microseconds=1))
    for slot in slots:
        if expires and slot >= expires:
            return
        yield slot
        if definition["one_off"]:
            return


def slots_in_force(
    revisions: Sequence[InForce], after: datetime, until: datetime
) -> Iterator[datetime]:
    """
    Yield the slots in (after, until], each by the revision in force at its time.

    `revisions` are `(from_at, definition)`, oldest first. One that can't be read has no slots.
    A one-off has its one slot however often something else of it was changed.
    """
    revisions = joined(revisions)
    ends = [moment for moment, _ in revisions][1:] + [until]
    for (begin, definition), end in zip(revisions, ends, strict=False):
        if min(end, until) > after:
            first = begin if definition["one_off"] else max(begin, after)
            last = min(end, until)
            slots = _until(last, _readable(definition, first))
            yield from (slot for slot in slots if slot > after)


def joined(revisions: Sequence[InForce]) -> list[InForce]:
    """Return the revisions without those that changed no times: each from where its times hold."""
    kept: list[InForce] = []
    for begin, definition in revisions:
        if not kept or _times(kept[-1][1]) != _times(definition):
            kept.append((begin, definition))
    return kept


def _times(definition: Definition) -> tuple[Any, ...]:
    return tuple(definition.get(name) for name in TIMES)


def _until(last: datetime, slots: Iterable[datetime]) -> Iterator[datetime]:
    return takewhile(lambda slot: slot <= last, slots)


def _readable(definition: Definition, moment: datetime) -> Iterator[datetime]:
    try:
        yield from slots_after(definition, moment)
    except BrokenSchedule:
        return


def _interval(definition: Definition) -> Interval:
    text = definition["interval"]
    try:
        number, period = text.split()
        every = timedelta(**{period: int(number)})
    except (ValueError, TypeError, OverflowError) as error:
        raise BrokenSchedule(f"interval {text!r}: {error}.") from None
    if every < SHORTEST_INTERVAL:
        raise BrokenSchedule(f"interval {text!r}: the shortest is one second.")
    return Interval(every, _moment(definition, "start_time") or EPOCH)


def _moment(definition: Definition, name: str) -> datetime | None:
    text = definition.get(name)
    return datetime.fromisoformat(text) if text else None

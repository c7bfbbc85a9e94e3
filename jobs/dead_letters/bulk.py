"""Replays everything that matches a filter: in slices, at a rate, and no further than it helps."""

import uuid
from datetime import timedelta

from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from jobs import log_events, operations
from jobs.dead_letters.matching import Matching
from jobs.dead_letters.operations import audit, replay_dead_letter
from jobs.errors import BulkReplayRefused, JobError
from jobs.models import BulkReplay, DeadLetter, Job
from jobs.states import SETTLED, BulkState, DeadLetterState, JobState

REPLAY_SLICE = "dead_letters.replay_slice"

#: A slice is what the rate allows in this time; then its job ends and another one is due.
SLICE_SECONDS = 1

#: How often the canary is looked at.
CANARY_LOOK_SECONDS = 2

RATE_MAX_PER_SECOND = 1_000

#: Settled replays from which on a share says something; the canary speaks before.
ENOUGH_SETTLED = 10


def start_bulk_replay(
    *,
    matching: Matching,
    by: str,
    rate_per_second: float = 10,
    canary: bool = True,
    stop_share: float = 0.5,
) -> BulkReplay:
    """
    Begin to replay every open dead letter that matches now, oldest first.

    With a canary the first goes alone; the others follow once it has succeeded, and never if it
    ends otherwise. It stops when more than `stop_share` (0 to 1) of the replays that have settled
    failed.

    :raises BulkReplayRefused: if the rate or the share can't be, or nothing matches.
    """
    if not 0 < rate_per_second <= RATE_MAX_PER_SECOND:
        raise BulkReplayRefused(f"rate: from above 0 to {RATE_MAX_PER_SECOND} a second.")
    if not 0 <= stop_share <= 1:
        raise BulkReplayRefused("stop share: from 0 to 1.")
    if matching.state != DeadLetterState.OPEN:
        raise BulkReplayRefused("state: only open dead letters are replayed.")
    rows = matching.rows()
    newest, count = rows.first(), rows.count()
    if newest is None:
        raise BulkReplayRefused("No open dead letter matches.")
    with transaction.atomic():
        bulk = BulkReplay.objects.create(
            filter=matching.as_json(),
            up_to=newest.pk,
            matched=count,
            rate_per_second=rate_per_second,
            canary=canary,
            stop_share=stop_share,
            asked_by=by[:200],
        )
        audit(by, "bulk_replay.started", bulk, {**bulk.filter, "matched": bulk.matched})
        _go_on(bulk, after=timedelta(0))
    return bulk


def stop_bulk_replay(*, bulk_replay_id: uuid.UUID, by: str) -> BulkReplay:
    """Replay no more of it; what was replayed runs on. Harmless when it has ended."""
    with transaction.atomic():
        bulk = BulkReplay.objects.select_for_update().get(pk=bulk_replay_id)
        if bulk.state == BulkState.RUNNING:
            _end(bulk, BulkState.STOPPED, f"Stopped by {by}.")
            audit(by, "bulk_replay.stopped", bulk, {"replayed": bulk.replayed})
    return bulk


def replay_slice(bulk_replay_id: str) -> None:
    """
    Replay the next few, and enqueue the slice after: all in the caller's transaction.

    The row is locked: of two slices at once, the second goes on where the first has ended.
    """
    bulk = BulkReplay.objects.select_for_update().get(pk=bulk_replay_id)
    if bulk.state != BulkState.RUNNING:
        return
    settled, failed = _results(bulk)
    canary = _canary(bulk)
    if canary and not canary.is_settled:
        _go_on(bulk, after=timedelta(seconds=CANARY_LOOK_SECONDS))
    elif canary and canary.state != JobState.SUCCEEDED:
        _end(bulk, BulkState.STOPPED, f"The canary ended as {canary.state}: job {canary.pk}.")
    elif failed and failed > bulk.stop_share * settled and _says_something(bulk, settled):
        _end(bulk, BulkState.STOPPED, f"{failed} of {settled} settled replays failed.")
    else:
        _replay_next(bulk)


def write_outcome(job: Job) -> None:
    """Stop a bulk replay whose slice has failed for good, or was cancelled: none comes after it."""
    if job.state == JobState.SUCCEEDED:
        return
    rows = BulkReplay.objects.select_for_update().filter(pk=job.payload.get("bulk_replay_id"))
    for bulk in rows.filter(state=BulkState.RUNNING):
        why = job.error or f"it is {job.state}."
        _end(bulk, BulkState.STOPPED, f"Its job {job.pk} did not succeed: {why}")


def _canary(bulk: BulkReplay) -> Job | None:
    """Return the first replay, while it is the only one."""
    if not bulk.canary or bulk.replayed != 1:
        return None
    return Job.objects.filter(replay_of_dead_letter__bulk_replay=bulk).first()


def _says_something(bulk: BulkReplay, settled: int) -> bool:
    return settled >= min(ENOUGH_SETTLED, bulk.replayed)


def _replay_next(bulk: BulkReplay) -> None:
    alone = bulk.canary and not bulk.replayed
    size = 1 if alone else max(1, round(bulk.rate_per_second * SLICE_SECONDS))
    letters = list(_rest(bulk)[:size])
    for letter in letters:
        _replay_one(bulk, letter)
        bulk.after = letter.pk
    if not letters:
        _end(bulk, BulkState.FINISHED, "")
        return
    bulk.save(update_fields=["after", "replayed", "refused", "note"])
    _go_on(bulk, after=timedelta(seconds=max(SLICE_SECONDS, size / bulk.rate_per_second)))


def _replay_one(bulk: BulkReplay, letter: DeadLetter) -> None:
    """One that refuses, or was replayed by somebody meanwhile, does not keep the others back."""
    try:
        replay_dead_letter(dead_letter_id=letter.pk, by=bulk.asked_by, bulk_replay_id=bulk.pk)
        bulk.replayed += 1
    except JobError as refusal:
        bulk.refused += 1
        bulk.note = str(refusal)


def _rest(bulk: BulkReplay) -> QuerySet[DeadLetter]:
    """Ages are those of the beginning: what matched then does not grow out of the filter."""
    matching = Matching(**bulk.filter).rows(at=bulk.created_at)
    rows = matching.order_by("id").filter(pk__lte=bulk.up_to)
    return rows.filter(pk__gt=bulk.after) if bulk.after else rows


def _results(bulk: BulkReplay) -> tuple[int, int]:
    """Return how many of its replays have settled, and how many of those failed."""
    counts = bulk.dead_letters.aggregate(
        settled=Count("pk", filter=Q(replay_job__state__in=SETTLED)),
        failed=Count("pk", filter=Q(replay_job__state=JobState.FAILED)),
    )
    return counts["settled"], counts["failed"]


def _go_on(bulk: BulkReplay, *, after: timedelta) -> None:
    payload = {"bulk_replay_id": str(bulk.pk)}
    operations.enqueue(REPLAY_SLICE, payload, run_at=timezone.now() + after)


def _end(bulk: BulkReplay, state: BulkState, note: str) -> None:
    bulk.state, bulk.ended_at = state, Now()
    bulk.note = note or bulk.note
    bulk.save(update_fields=["state", "ended_at", "note"])
    log_events.bulk_replay_ended(bulk)

"""Bulk replays: a canary, a rate, a share of failures that stops them, and nothing twice."""

from datetime import timedelta
from functools import partial

import pytest
from django.db import transaction
from django.utils import timezone

from jobs.dead_letters import bulk, operations
from jobs.dead_letters.matching import Matching
from jobs.engine import lifecycle
from jobs.errors import BulkReplayRefused, DiscardRefused, NotOpen, NotReplayable
from jobs.models import AuditEntry, BulkReplay, DeadLetter, Incident, Job
from jobs.states import JobState
from jobs.upkeep import dead_letters as retention
from tests.deliveries import at_once
from tests.drills import fresh
from tests.letters import make_letter, make_unreadable

pytestmark = pytest.mark.django_db(transaction=True)


def start(**options) -> BulkReplay:
    return bulk.start_bulk_replay(matching=Matching(), by="ann", **options)


def run_slice(row: BulkReplay) -> BulkReplay:
    """Do what the job of the next slice does."""
    with transaction.atomic():
        bulk.replay_slice(str(row.pk))
    row.refresh_from_db()
    return row


@transaction.atomic
def run_slice_and_die(row: BulkReplay) -> None:
    bulk.replay_slice(str(row.pk))
    raise RuntimeError("killed")


def replays() -> list[Job]:
    return list(Job.objects.filter(replay_of__isnull=False).order_by("pk"))


def settle(jobs: list[Job], state: JobState) -> None:
    Job.objects.filter(pk__in=[job.pk for job in jobs]).update(state=state)


def slices_waiting() -> int:
    return Job.objects.filter(type=bulk.REPLAY_SLICE, state=JobState.WAITING).count()


class TestABulkReplay:
    def test_sends_the_oldest_first_and_waits_for_it(self):
        letters = [make_letter() for _ in range(4)]
        row = run_slice(start())
        assert [job.replay_of_id for job in replays()] == [letters[0].job_id]

        run_slice(row)
        assert len(replays()) == 1

        settle(replays(), JobState.SUCCEEDED)
        run_slice(row)
        assert len(replays()) == 4

    def test_stops_when_the_canary_fails(self):
        for _ in range(4):
            make_letter()
        row = run_slice(start())
        settle(replays(), JobState.FAILED)

        run_slice(row)

        [canary] = replays()
        assert (row.state, row.note) == ("stopped", f"The canary ended as failed: job {canary.pk}.")
        assert len(replays()) == 1

    def test_sends_no_more_in_a_slice_than_the_rate_allows(self):
        for _ in range(5):
            make_letter()
        row = start(canary=False, rate_per_second=2)
        counts = []
        for _ in range(3):
            run_slice(row)
            counts.append(len(replays()))
        assert counts == [2, 4, 5]

    def test_spreads_its_slices_over_time(self):
        make_letter()
        now = timezone.now()
        run_slice(start(canary=False, rate_per_second=0.1))
        newest = Job.objects.filter(type=bulk.REPLAY_SLICE).latest("run_at")
        assert (newest.run_at - now).total_seconds() > 9

    def test_stops_when_more_than_the_share_fails(self):
        for _ in range(30):
            make_letter()
        row = run_slice(start(canary=False, rate_per_second=20, stop_share=0.25))
        settle(replays()[:14], JobState.SUCCEEDED)
        settle(replays()[14:], JobState.FAILED)

        run_slice(row)

        assert row.state == "stopped"
        assert row.note == "6 of 20 settled replays failed."
        assert len(replays()) == 20

    def test_goes_on_below_the_share(self):
        for _ in range(30):
            make_letter()
        row = run_slice(start(canary=False, rate_per_second=20, stop_share=0.5))
        settle(replays()[:14], JobState.SUCCEEDED)
        settle(replays()[14:], JobState.FAILED)
        assert run_slice(row).state == "running"
        assert len(replays()) == 30

    def test_ends_when_all_were_looked_at(self):
        make_letter()
        row = run_slice(run_slice(start(canary=False)))
        assert (row.state, row.replayed, row.refused) == ("finished", 1, 0)
        waiting = slices_waiting()
        run_slice(row)
        assert slices_waiting() == waiting

    def test_leaves_what_dies_after_it_began(self):
        make_letter()
        row = start(canary=False)
        late = make_letter()
        run_slice(run_slice(row))
        assert [job.replay_of_id for job in replays()] != [late.job_id]
        assert DeadLetter.objects.get(pk=late.pk).state == "open"

    def test_counts_and_passes_over_what_refuses(self):
        make_unreadable()
        make_letter()
        row = run_slice(start(canary=False))
        assert (row.replayed, row.refused) == (1, 1)
        assert "can't be read" in row.note

    def test_is_done_once_by_two_clicks(self):
        for _ in range(6):
            make_letter()
        rows = [start(canary=False, rate_per_second=3) for _ in range(2)]
        for _ in range(4):
            at_once(*[lambda row=row: run_slice(row) for row in rows])
        assert len(replays()) == 6
        assert len({job.replay_of_id for job in replays()}) == 6

    def test_leaves_nothing_behind_when_its_slice_is_rolled_back(self):
        make_letter()
        row = start(canary=False)
        with pytest.raises(RuntimeError):
            run_slice_and_die(row)
        assert replays() == []
        assert run_slice(row).replayed == 1

    def test_is_stopped_by_hand(self):
        make_letter()
        row = start()
        bulk.stop_bulk_replay(bulk_replay_id=row.pk, by="ann")
        bulk.stop_bulk_replay(bulk_replay_id=row.pk, by="ann")
        assert run_slice(row).state == "stopped"
        assert replays() == []
        actions = [entry.action for entry in AuditEntry.objects.order_by("id")]
        assert actions == ["bulk_replay.started", "bulk_replay.stopped"]

    @pytest.mark.parametrize(
        "options",
        [{"rate_per_second": 0}, {"rate_per_second": 1_001}, {"stop_share": 1.1}],
    )
    def test_refuses_what_cannot_be(self, options):
        make_letter()
        with pytest.raises(BulkReplayRefused):
            start(**options)

    def test_refuses_to_begin_with_nothing(self):
        with pytest.raises(BulkReplayRefused, match="No open dead letter"):
            start()


class TestAReplay:
    def test_happens_once_for_two_clicks_at_once(self):
        letter = make_letter()

        def click():
            return operations.replay_dead_letter(dead_letter_id=letter.pk, by="ann")

        answers = at_once(*[click] * 4)

        assert sorted(type(answer).__name__ for answer in answers) == ["Job", *["NotOpen"] * 3]
        assert len(replays()) == 1
        assert AuditEntry.objects.count() == 1

    def test_runs_a_message_without_a_job_by_its_own_payload(self):
        letter = make_letter()
        Job.objects.all().delete()
        job = operations.replay_dead_letter(dead_letter_id=letter.pk, by="ann")
        again = fresh(job)
        assert (again.type, again.payload) == ("drills.run_atomic", {"label": "drill"})
        assert again.tenant_id == letter.tenant_id

    def test_refuses_what_cannot_be_read(self):
        letter = make_unreadable()
        with pytest.raises(NotReplayable, match="another payload, or discard"):
            operations.replay_dead_letter(dead_letter_id=letter.pk, by="ann")

    def test_is_refused_after_a_discard(self):
        letter = make_letter()
        operations.discard_dead_letter(dead_letter_id=letter.pk, by="ann", reason="a test")
        with pytest.raises(NotOpen, match="is discarded already"):
            operations.replay_dead_letter(dead_letter_id=letter.pk, by="ann")

    @pytest.mark.parametrize("reason", ["", "  ", "x" * 501, "a\0b"])
    def test_or_a_discard_wants_a_reason(self, reason):
        letter = make_letter()
        with pytest.raises(DiscardRefused):
            operations.discard_dead_letter(dead_letter_id=letter.pk, by="ann", reason=reason)


class TestRetention:
    def make_old(self, state: str) -> DeadLetter:
        letter = make_letter()
        long_ago = timezone.now() - timedelta(days=91)
        handled = None if state in ("open", "superseded") else long_ago
        DeadLetter.objects.filter(pk=letter.pk).update(
            state=state, recorded_at=long_ago, handled_at=handled
        )
        return letter

    def test_deletes_what_is_done_and_keeps_what_is_open(self, monkeypatch):
        monkeypatch.setattr(retention, "BATCH_ROWS", 2)
        for state in ("replayed", "discarded", "superseded", "replayed", "open"):
            self.make_old(state)
        recent = make_letter()

        assert retention.delete_old_dead_letters(now=timezone.now()) == 4

        assert {letter.state for letter in DeadLetter.objects.all()} == {"open"}
        assert DeadLetter.objects.filter(pk=recent.pk).exists()
        assert Incident.objects.get().past_count == 4

    def test_keeps_the_canary_of_a_bulk_replay_however_old_it_is(self):
        # Given old letters of which the first is replayed alone, and fails again
        for _ in range(3):
            self.make_old("open")
        row = run_slice(start())
        settle(replays(), JobState.FAILED)

        # When the night comes before the others' turn, then they are held back all the same
        assert retention.delete_old_dead_letters(now=timezone.now()) == 0
        row = run_slice(row)
        assert (row.state, row.replayed) == ("stopped", 1)

    def test_is_safe_when_done_twice_at_once(self):
        for _ in range(20):
            self.make_old("discarded")
        delete = partial(retention.delete_old_dead_letters, now=timezone.now())
        deleted = at_once(delete, delete)
        assert sum(deleted) == 20
        assert Incident.objects.get().past_count == 20


def test_a_job_that_fails_again_has_a_dead_letter_of_its_own():
    letter = make_letter()
    job = operations.replay_dead_letter(dead_letter_id=letter.pk, by="ann")
    lifecycle.fail(fresh(job), RuntimeError("again"), outcome=None)
    assert fresh(job).dead_letter_due_at is not None

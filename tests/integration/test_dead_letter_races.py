"""What goes wrong with replays only where two things happen at once, or take their time."""

import uuid
from datetime import timedelta
from functools import partial

import pytest
from django.db import transaction
from django.utils import timezone

from jobs import operations
from jobs.dead_letters import bulk
from jobs.dead_letters.matching import Matching
from jobs.dead_letters.operations import replay_dead_letter
from jobs.models import BulkReplay, DeadLetter, Job
from jobs.states import JobState
from jobs.testing import run_enqueued_jobs
from tests.deliveries import at_once
from tests.drills import script
from tests.letters import make_letter

pytestmark = pytest.mark.django_db(transaction=True)


def run_slice(row: BulkReplay) -> None:
    with transaction.atomic():
        bulk.replay_slice(str(row.pk))
    row.refresh_from_db()


def job_of(letter: DeadLetter) -> uuid.UUID:
    assert letter.job_id
    return letter.job_id


def replays() -> list[Job]:
    return list(Job.objects.filter(replay_of__isnull=False))


class TestADeadLetterAndItsJob:
    def test_are_replayed_once_when_both_are_clicked_at_once(self):
        for _ in range(20):
            letter = make_letter()

            answers = at_once(
                partial(replay_dead_letter, dead_letter_id=letter.pk, by="ann"),
                partial(operations.replay_job, job_id=job_of(letter), by="bob"),
            )

            # One gets the job; the other is told that it was replayed, or gets the same
            names = {type(answer).__name__ for answer in answers}
            assert names <= {"Job", "NotOpen", "NotReplayable"}, answers
            [job] = Job.objects.filter(replay_of=letter.job_id)
            letter.refresh_from_db()
            assert (letter.state, letter.replay_job_id) == ("replayed", job.pk)

    def test_are_closed_together_when_the_job_is_retried_by_hand(self):
        letter = make_letter()
        job = operations.replay_job(job_id=job_of(letter), by="bob")
        letter.refresh_from_db()
        assert (letter.state, letter.replay_job_id, letter.handled_by) == (
            "replayed",
            job.pk,
            "bob",
        )


class TestABulkReplayThatTakesItsTime:
    def test_keeps_to_the_ages_that_it_was_asked_for(self):
        # Given dead letters younger than a minute, and a replay of those
        letters = [make_letter() for _ in range(3)]
        row = bulk.start_bulk_replay(
            matching=Matching(younger_than_seconds=60), by="ann", canary=False, rate_per_second=1
        )
        run_slice(row)

        # When they grow older than that before their turn comes
        past = timezone.now() - timedelta(minutes=5)
        DeadLetter.objects.update(recorded_at=past)
        BulkReplay.objects.update(created_at=past + timedelta(seconds=1))
        for _ in range(3):
            run_slice(row)

        # Then they are replayed all the same
        assert {job.replay_of_id for job in replays()} == {each.job_id for each in letters}
        assert (row.state, row.replayed) == ("finished", row.matched)


class TestACanary:
    @pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELLED])
    def test_that_does_not_succeed_stops_the_replay_whatever_the_share(self, state):
        for _ in range(3):
            make_letter()
        row = bulk.start_bulk_replay(matching=Matching(), by="ann", stop_share=1)
        run_slice(row)
        Job.objects.filter(replay_of__isnull=False).update(state=state)

        run_slice(row)

        assert row.state == "stopped"
        assert len(replays()) == 1


class TestASliceThatFailsForGood:
    def test_stops_its_bulk_replay_and_says_why(self, monkeypatch):
        # Given a feature whose own hook can't replay
        def fail(old, new):
            raise LookupError("the export is gone")

        monkeypatch.setattr(script, "on_replayed", fail)
        make_letter()
        row = bulk.start_bulk_replay(matching=Matching(), by="ann")

        run_enqueued_jobs(raise_errors=False)

        # Then nobody waits for it for ever
        row.refresh_from_db()
        assert row.state == "stopped"
        assert "the export is gone" in row.note
        assert replays() == []

"""The clean-up of the engine's own rows: jobs, slots, results, answers, checks, dead letters."""

import uuid
from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from django_celery_results.models import GroupResult, TaskResult

from exports.models import Export
from jobs.models import (
    Attempt,
    DeadLetter,
    HealthCheck,
    IdempotentRequest,
    Job,
    ScheduleRevision,
    Slot,
)
from jobs.operations import replay_job
from jobs.states import JobState
from jobs.upkeep import settled_jobs, tasks
from jobs.upkeep.settled_jobs import delete_settled_jobs
from tests.cleaning import make_slot, meanwhile, run_part
from tests.deliveries import at_once
from tests.drills import ACME, make_job
from tests.letters import make_letter
from tests.people import make_tenant

pytestmark = pytest.mark.django_db

NOW = timezone.now()
INSTANT = timedelta(microseconds=1)
MONTH = NOW - timedelta(days=30)
OLD = MONTH - INSTANT


def settle(job, state=JobState.SUCCEEDED, *, at=OLD, **columns):
    Job.objects.filter(pk=job.pk).update(state=state, settled_at=at, **columns)
    Attempt.objects.get_or_create(job=job, attempt=1, dispatch=1, outcome="succeeded")
    return Job.objects.get(pk=job.pk)


def old_job(state=JobState.SUCCEEDED, *, at=OLD, **columns):
    return settle(make_job(), state, at=at, **columns)


def of_old_job(letter):
    """Let the job of a dead letter have failed long ago."""
    Job.objects.filter(pk=letter.job_id).update(settled_at=OLD)
    return letter


def jobs():
    return set(Job.objects.values_list("pk", flat=True))


class TestDeleteSettledJobs:
    def test_deletes_to_the_instant(self):
        gone, kept = old_job(at=MONTH - INSTANT), old_job(at=MONTH)
        cancelled = old_job(JobState.CANCELLED)

        part = run_part(tasks.delete_settled_jobs, at=NOW)

        assert jobs() == {kept.pk, part.pk}
        assert not Attempt.objects.filter(job_id__in=[gone.pk, cancelled.pk]).exists()
        assert Attempt.objects.filter(job=kept).exists()

    @pytest.mark.parametrize(
        "state", [JobState.WAITING, JobState.QUEUED, JobState.RUNNING, JobState.RETRYING]
    )
    def test_leaves_live_jobs_however_old(self, state):
        old_job(state, at=OLD - timedelta(days=400))

        assert delete_settled_jobs(now=NOW) == 0

    def test_leaves_failed_jobs_until_somebody_dealt_with_their_dead_letter(self):
        letter = of_old_job(make_letter())
        assert delete_settled_jobs(now=NOW) == 0

        DeadLetter.objects.filter(pk=letter.pk).update(state="discarded")
        assert delete_settled_jobs(now=NOW) == 1
        assert DeadLetter.objects.get().job_id == letter.job_id

    def test_leaves_failed_jobs_whose_dead_letter_is_not_stored_yet(self):
        job = old_job(JobState.FAILED, dead_lettered_at=None)
        assert delete_settled_jobs(now=NOW) == 0

        Job.objects.filter(pk=job.pk).update(dead_lettered_at=NOW)
        assert delete_settled_jobs(now=NOW) == 1

    def test_lets_replays_and_exports_forget_them(self):
        old = old_job(JobState.CANCELLED)
        new = replay_job(job_id=old.pk, by="ann")
        job = old_job()
        export = Export.objects.create(tenant=make_tenant(), job=job, dataset="items", format="csv")

        assert delete_settled_jobs(now=NOW) == 2

        new.refresh_from_db()
        export.refresh_from_db()
        assert (new.replay_of_id, export.job_id) == (None, None)

    def test_finds_jobs_of_other_programs_messages_whose_ids_are_random(self):
        for first in "0af":
            key = uuid.UUID(first * 32)
            Job.objects.create(id=key, type="a.b", queue="jobs", state="succeeded", settled_at=OLD)

        assert delete_settled_jobs(now=NOW) == 3
        assert delete_settled_jobs(now=NOW) == 0

    def test_goes_by_batches_past_what_stays(self, monkeypatch):
        monkeypatch.setattr(settled_jobs, "BATCH_JOBS", 2)
        for number in range(9):
            old_job(JobState.WAITING if number % 3 == 0 else JobState.SUCCEEDED)

        assert delete_settled_jobs(now=NOW) == 6
        assert Job.objects.live().count() == 3

    def test_measures_by_the_time_of_its_slot(self):
        job = old_job(at=NOW)

        run_part(tasks.delete_settled_jobs, at=NOW + timedelta(days=31))

        assert job.pk not in jobs()


@pytest.mark.django_db(transaction=True)
class TestDeletingJobsAtTheSameTime:
    def test_deletes_each_once(self, monkeypatch):
        monkeypatch.setattr(settled_jobs, "BATCH_JOBS", 3)
        for _ in range(30):
            old_job()
        delete = partial(delete_settled_jobs, now=NOW)

        assert sum(at_once(delete, delete)) == 30
        assert not Attempt.objects.exists()

    def test_leaves_one_that_somebody_holds(self):
        job = old_job()

        with meanwhile(lambda: Job.objects.select_for_update().get(pk=job.pk)):
            assert delete_settled_jobs(now=NOW) == 0
        assert delete_settled_jobs(now=NOW) == 1

    def test_goes_on_where_a_killed_one_ended(self, monkeypatch):
        monkeypatch.setattr(settled_jobs, "BATCH_JOBS", 3)
        for _ in range(8):
            old_job()

        def cut(rows):
            rows.only("pk").delete()
            if Job.objects.count() < 4:
                raise RuntimeError("killed")

        with monkeypatch.context() as killed:
            killed.setattr(settled_jobs, "_delete", cut)
            with pytest.raises(RuntimeError):
                delete_settled_jobs(now=NOW)

        assert Job.objects.count() == Attempt.objects.count() == 5
        assert delete_settled_jobs(now=NOW) == 5


class TestDeleteExpiredSlots:
    BOUNDARY = NOW - timedelta(days=90)

    @pytest.fixture
    def revise(self):
        def revise(schedule, name, moment):
            return ScheduleRevision.objects.create(
                schedule_id=schedule, schedule_name=name, from_at=moment, by="ann", definition={}
            )

        return revise

    def test_judges_a_run_by_hand_by_its_own_time_and_not_by_the_pretended(self):
        # Given runs that pretended a moment long past: one of today, one of long ago
        past = self.BOUNDARY - INSTANT
        lately = make_slot(past, asked_by="ann", decided_at=NOW)
        make_slot(past, asked_by="bob", decided_at=past)

        run_part(tasks.delete_expired_slots, at=NOW)

        left = set(Slot.objects.exclude(asked_by="").values_list("pk", flat=True))
        assert left == {lately.pk}

    def test_deletes_to_the_instant_but_never_one_that_waits(self):
        make_slot(self.BOUNDARY - INSTANT)
        kept = make_slot(self.BOUNDARY)
        waiting = make_slot(self.BOUNDARY - timedelta(days=9), "waiting")

        part = run_part(tasks.delete_expired_slots, at=NOW)

        left = set(Slot.objects.values_list("pk", flat=True))
        assert left == {kept.pk, waiting.pk, part.slot_id}

    def test_keeps_the_definition_that_the_oldest_slot_follows(self, revise):
        for days, name in ((300, "first"), (200, "second"), (91, "in force"), (1, "newest")):
            revise(1, name, NOW - timedelta(days=days))
        revise(2, "another's only", NOW - timedelta(days=300))

        run_part(tasks.delete_expired_slots, at=NOW)

        names = set(ScheduleRevision.objects.values_list("schedule_name", flat=True))
        assert names == {"in force", "newest", "another's only"}

    def test_takes_a_revision_at_the_horizon_as_in_force(self, revise):
        revise(1, "before", self.BOUNDARY - INSTANT)
        revise(1, "at the same time", self.BOUNDARY)
        revise(1, "in force", self.BOUNDARY)
        revise(1, "later", self.BOUNDARY + INSTANT)

        run_part(tasks.delete_expired_slots, at=NOW)

        names = set(ScheduleRevision.objects.values_list("schedule_name", flat=True))
        assert names == {"in force", "later"}

    def test_touches_no_schedule(self):
        before = set(PeriodicTask.objects.values_list("pk", flat=True))
        run_part(tasks.delete_expired_slots, at=NOW + timedelta(days=4_000))
        assert set(PeriodicTask.objects.values_list("pk", flat=True)) == before


class TestDeleteExpiredResults:
    def test_deletes_those_of_tasks_and_of_groups_to_the_instant(self):
        boundary = NOW - timedelta(days=7)
        for name, moment in (("gone", boundary - INSTANT), ("kept", boundary)):
            TaskResult.objects.create(task_id=name)
            GroupResult.objects.create(group_id=name)
            TaskResult.objects.filter(task_id=name).update(date_done=moment)
            GroupResult.objects.filter(group_id=name).update(date_done=moment)

        run_part(tasks.delete_expired_results, at=NOW)

        assert TaskResult.objects.get().task_id == GroupResult.objects.get().group_id == "kept"


class TestDeleteExpiredRequests:
    def test_deletes_answers_after_a_day(self):
        for name, age in (("gone", timedelta(hours=24) + INSTANT), ("kept", timedelta(hours=24))):
            IdempotentRequest.objects.create(
                tenant_id=ACME, key=name, body_hash="", created_at=NOW - age
            )

        run_part(tasks.delete_expired_requests, at=NOW)

        assert IdempotentRequest.objects.get().key == "kept"


class TestDeleteExpiredChecks:
    def test_deletes_to_the_instant(self):
        for name, moment in (("gone", OLD), ("kept", MONTH)):
            HealthCheck.objects.create(at=moment, name=name, status="ok", latency_ms=1)

        run_part(tasks.delete_expired_checks, at=NOW)

        assert HealthCheck.objects.get().name == "kept"


class TestDeleteExpiredDeadLetters:
    def test_deletes_what_was_dealt_with_and_leaves_what_is_open(self):
        boundary = NOW - timedelta(days=90)
        letters = [make_letter() for _ in range(3)]
        changes = (
            {"state": "discarded", "recorded_at": boundary - INSTANT},
            {"state": "discarded", "recorded_at": boundary},
            {"state": "open", "recorded_at": boundary - INSTANT},
        )
        for letter, change in zip(letters, changes, strict=True):
            DeadLetter.objects.filter(pk=letter.pk).update(**change)

        run_part(tasks.delete_expired_dead_letters, at=NOW)

        left = set(DeadLetter.objects.values_list("pk", flat=True))
        assert left == {letters[1].pk, letters[2].pk}

    def test_lets_the_next_night_delete_their_jobs(self):
        letter = of_old_job(make_letter())
        DeadLetter.objects.filter(pk=letter.pk).update(state="discarded")
        run_part(tasks.delete_settled_jobs, at=NOW)

        assert letter.job_id not in jobs()

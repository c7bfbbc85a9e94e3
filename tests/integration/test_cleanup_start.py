"""`daily_cleanup`: every part is a job of its own, and none stands in another's way."""

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs import enqueue
from jobs.models import Job
from jobs.payloads import Nothing
from jobs.states import JobState
from jobs.testing import run_enqueued_jobs
from jobs.upkeep import parts, results
from jobs.upkeep.tasks import start_cleanup
from project.accounts.models import Session
from project.schedule import SCHEDULES
from tests.cleaning import PARTS, make_slot, run_part
from tests.drills import fresh, run_atomic, run_freely, script

pytestmark = pytest.mark.django_db

MIDNIGHT = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.EXPORTS_STORAGE_URL = f"file://{tmp_path / 'exports'}"


@pytest.fixture
def only(monkeypatch):
    """Let these be the only parts."""
    return lambda *names: monkeypatch.setattr(parts, "_parts", dict.fromkeys(names))


def part_jobs():
    return Job.objects.exclude(type=start_cleanup.name)


def start(at=MIDNIGHT):
    """Start the clean-up of a slot, and let none of its parts run."""
    job = enqueue(start_cleanup, {}, slot_id=make_slot(at).pk)
    start_cleanup.job_type.function(job, Nothing())
    Job.objects.filter(pk=job.pk).update(state=JobState.SUCCEEDED)
    return job


class TestStartCleanup:
    def test_is_what_the_cron_table_runs_at_midnight(self):
        [row] = [each for each in SCHEDULES if each.name == "daily_cleanup"]
        assert (row.task, row.cron) == (start_cleanup.name, "0 0 * * *")

    def test_starts_every_part_as_a_job_of_the_same_slot(self):
        job = start()

        assert {each.type for each in part_jobs()} == PARTS
        assert {each.slot_id for each in part_jobs()} == {job.slot_id}

    def test_ends_with_every_part_succeeded(self):
        run_part(start_cleanup, at=MIDNIGHT)

        assert {each.type: each.state for each in part_jobs()} == dict.fromkeys(PARTS, "succeeded")

    def test_starts_no_part_beside_one_that_is_still_live(self):
        start(at=MIDNIGHT - timedelta(days=1))
        start()

        assert {each.type for each in part_jobs()} == PARTS
        assert part_jobs().count() == len(PARTS)

    def test_starts_the_parts_that_are_through_again(self):
        start(at=MIDNIGHT - timedelta(days=1))
        part_jobs().exclude(type="results.delete_expired").update(state=JobState.SUCCEEDED)

        start()

        assert part_jobs().live().count() == len(PARTS)
        assert part_jobs().count() == 2 * len(PARTS) - 1

    def test_is_stopped_by_no_part_that_it_cannot_start(self, only):
        only("a.part_that_was_removed", run_atomic.name, "z.another")

        start()

        assert [each.type for each in part_jobs()] == [run_atomic.name]

    def test_is_safe_when_it_comes_twice(self):
        job = start()
        start_cleanup.job_type.function(job, Nothing())

        assert part_jobs().count() == len(PARTS)


class TestAPart:
    def test_that_fails_stops_none_of_the_others(self, monkeypatch):
        def fail(**_):
            raise RuntimeError("the disk is full")

        monkeypatch.setattr(results, "delete_expired_results", fail)
        enqueue(start_cleanup, {}, slot_id=make_slot(MIDNIGHT).pk)

        run_enqueued_jobs(raise_errors=False)

        states = {each.type: each.state for each in part_jobs()}
        assert states.pop("results.delete_expired") == "failed"
        assert set(states.values()) == {"succeeded"}

    def test_that_was_interrupted_is_finished_by_its_retry(self, only, monkeypatch):
        only(run_freely.name)
        Session.objects.create(session_key="old", expire_date=MIDNIGHT)

        def run(job, payload):
            if job.attempt == 1:
                raise RuntimeError("killed")
            Session.objects.all().delete()

        monkeypatch.setattr(script, "run", run)
        start()
        run_enqueued_jobs()

        [job] = part_jobs()
        assert (fresh(job).state, job.attempt, Session.objects.count()) == ("succeeded", 2, 0)

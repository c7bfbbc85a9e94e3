"""
The nightly clean-up on SQLite, which locks no rows and has one writer at a time.

A run on PostgreSQL leaves this module out; tests/integration/test_on_sqlite.py runs it then.
"""

from datetime import timedelta

import pytest
from django.utils import timezone
from django_celery_results.models import TaskResult

from exports.models import Export
from exports.states import ExportStatus
from jobs import enqueue
from jobs.models import Attempt, Job, Slot
from jobs.states import JobState
from jobs.testing import run_enqueued_jobs
from jobs.upkeep import batches
from jobs.upkeep.settled_jobs import delete_settled_jobs
from jobs.upkeep.slots import delete_expired_slots
from jobs.upkeep.tasks import start_cleanup
from project.accounts.models import Session
from project.accounts.retention import delete_expired_sessions
from project.workspace.archiving import archive_projects
from project.workspace.models import Project
from tests.cleaning import make_slot
from tests.drills import make_job, on_postgres
from tests.people import make_tenant

if on_postgres():
    pytest.skip("tests/integration/test_on_sqlite.py runs it", allow_module_level=True)

pytestmark = pytest.mark.django_db

NOW = timezone.now()
LONG_AGO = NOW - timedelta(days=400)


@pytest.fixture(autouse=True)
def small_batches(monkeypatch, settings, tmp_path):
    settings.EXPORTS_STORAGE_URL = f"file://{tmp_path / 'exports'}"
    monkeypatch.setattr(batches, "BATCH_ROWS", 3)


class TestTheParts:
    def test_delete_sessions_that_have_expired(self):
        for number in range(10):
            Session.objects.create(session_key=str(number), expire_date=LONG_AGO)
        Session.objects.create(session_key="live", expire_date=NOW)

        assert delete_expired_sessions(now=NOW) == 10
        assert delete_expired_sessions(now=NOW) == 0
        assert Session.objects.get().session_key == "live"

    def test_delete_settled_jobs_with_their_attempts(self):
        live, *old = [make_job() for _ in range(5)]
        Job.objects.exclude(pk=live.pk).update(state=JobState.SUCCEEDED, settled_at=LONG_AGO)
        for job in old:
            Attempt.objects.create(job=job, attempt=1, dispatch=1, outcome="succeeded")

        assert delete_settled_jobs(now=NOW) == 4
        assert (Job.objects.get(), Attempt.objects.count()) == (live, 0)

    def test_delete_slots_but_not_those_that_wait(self):
        make_slot(LONG_AGO)
        waiting = make_slot(LONG_AGO - timedelta(days=1), "waiting")

        assert delete_expired_slots(now=NOW) == 1
        assert Slot.objects.get() == waiting

    def test_archive_projects(self):
        Project.objects.create(tenant=make_tenant(), name="old")
        Project.objects.update(updated_at=LONG_AGO)

        assert archive_projects(now=NOW) == 1
        assert archive_projects(now=NOW) == 0


class TestStartCleanup:
    def test_ends_with_every_part_succeeded(self, tmp_path):
        export = Export.objects.create(
            tenant=make_tenant(), dataset="items", format="csv", settled_at=LONG_AGO,
            status=ExportStatus.FAILED,
        )  # fmt: skip
        (tmp_path / "exports").mkdir()
        TaskResult.objects.create(task_id="old")
        TaskResult.objects.update(date_done=LONG_AGO)

        enqueue(start_cleanup, {})
        ended = run_enqueued_jobs()

        assert {job.state for job in ended} == {"succeeded"}
        assert not TaskResult.objects.exists()
        assert not Export.objects.filter(pk=export.pk).exists()

"""An export from request to file: whatever happens on the way, one whole file or none."""

import csv
import hashlib
import io
import json
import uuid
from datetime import timedelta

import pytest
from django.db import transaction

from exports import operations, tasks
from exports.errors import (
    NoSuchObject,
    NotCompleted,
    Superseded,
    UnknownDataset,
    UnknownExport,
    UnknownFormat,
)
from exports.models import Export
from exports.object_store.file import FilePart, FileStore
from exports.operations import cancel_export, open_download, request_export, retry_export
from exports.payloads import ExportPayload
from exports.queries import count_attempts, get_export, list_exports
from exports.states import ExportStatus
from jobs.engine import lifecycle
from jobs.errors import MoveRefused, NotLive, NotReplayable
from jobs.models import Job
from jobs.operations import replay_job
from jobs.states import JobState
from jobs.testing import run_enqueued_jobs
from project.workspace.models import Item, Project
from tests.people import make_member, make_tenant

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.EXPORTS_STORAGE_URL = f"file://{tmp_path / 'exports'}"
    return tmp_path / "exports"


@pytest.fixture
def items(acme):
    project = Project.objects.create(tenant=acme, name="Autumn")
    return Item.objects.bulk_create(
        Item(tenant=acme, project=project, sku=f"S{number}", name="=1+1") for number in range(2500)
    )


@pytest.fixture
def request_it(acme):
    def request_it(**changes):
        wanted = {"tenant_id": acme.pk, "user_id": None, "dataset": "items", "format": "csv"}
        return request_export(**wanted | changes)

    return request_it


def running(export):
    """Return the export's job as a worker has it that has just claimed it."""
    lifecycle.take_due(100)
    job = Job.objects.get(pk=export.job_id)
    return lifecycle.claim(job.pk, job.dispatch, worker="first")


def taken_over(job):
    """Give the job to another worker and return it as that one has it."""
    other = Job.objects.get(pk=job.pk)
    lifecycle.take_over(other, worker="second")
    return other


def run(job):
    tasks.export_data.job_type.function(job, ExportPayload(**job.payload))


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def content(export):
    file = open_download(export)
    assert not isinstance(file, str)
    with file:
        return file.read()


@pytest.mark.django_db(transaction=True)
class TestExport:
    @pytest.mark.parametrize("name", ["csv", "json"])
    def test_ends_in_a_file_and_its_facts(self, acme, items, request_it, name):
        export = request_it(format=name)
        assert export.status == ExportStatus.QUEUED

        run_enqueued_jobs()

        export.refresh_from_db()
        data = content(export)
        assert export.status == ExportStatus.COMPLETED
        assert export.row_count == export.rows_done == export.rows_total == len(items)
        assert export.size_bytes == len(data)
        assert export.sha256 == hashlib.sha256(data).hexdigest()
        assert export.started_at <= export.settled_at
        assert count_attempts(export) == 1
        assert export.key == f"exports/{acme.pk}/{export.pk}.{name}"

    def test_holds_every_row_of_its_tenant_and_no_other(self, items, request_it):
        stranger = make_tenant("stranger")
        project = Project.objects.create(tenant=stranger, name="Secret")
        Item.objects.create(tenant=stranger, project=project, sku="SECRET")
        ours, theirs = request_it(), request_it(tenant_id=stranger.pk)

        run_enqueued_jobs()

        rows = {
            export: list(csv.DictReader(io.StringIO(content(export).decode(), newline="")))
            for export in Export.objects.all()
        }
        assert {row["sku"] for row in rows[ours]} == {item.sku for item in items}
        assert {row["sku"] for row in rows[theirs]} == {"SECRET"}

    def test_of_nothing_is_a_file_too(self, request_it):
        export = request_it(format="json")
        run_enqueued_jobs()
        export.refresh_from_db()
        assert json.loads(content(export)) == []
        assert export.row_count == 0

    def test_works_inside_the_transaction_of_a_test(self, items, request_it):
        with transaction.atomic():
            export = request_it()
            Item.objects.filter(pk=items[0].pk).delete()
            run_enqueued_jobs()
        export.refresh_from_db()
        assert export.row_count == len(items) - 1

    def test_never_was_if_its_transaction_rolls_back(self, request_it):
        with transaction.atomic():
            request_it()
            transaction.set_rollback(True)
        assert not Job.objects.exists()
        assert not Export.objects.exists()

    def test_refuses_what_does_not_exist(self, request_it):
        with pytest.raises(UnknownDataset):
            request_it(dataset="secrets")
        with pytest.raises(UnknownFormat):
            request_it(format="xml")
        assert not Job.objects.exists()

    def test_of_a_deleted_row_gives_up_at_once(self, request_it):
        export = request_it()
        Export.objects.all().delete()
        run_enqueued_jobs(raise_errors=False)
        job = Job.objects.get(pk=export.job_id)
        assert (job.state, job.failures) == (JobState.FAILED, 1)
        assert f"There is no export {export.pk}" in job.error


@pytest.mark.django_db(transaction=True)
class TestProgress:
    def test_shows_how_far_it_is(self, items, request_it, settings, monkeypatch):
        settings.EXPORTS_PROGRESS_SECONDS = 0
        export = request_it()
        job = running(export)
        seen = []
        shown = operations.write_progress

        def look(export, **progress):
            shown(export, **progress)
            seen.append(get_export(export.tenant_id, export.pk))

        monkeypatch.setattr(operations, "write_progress", look)
        run(job)
        assert {one.status for one in seen} == {ExportStatus.PROCESSING}
        assert seen[0].rows_done == 0
        assert seen[-1].rows_done == seen[-1].rows_total == len(items)

    def test_learns_that_it_was_cancelled_and_leaves_no_file(self, acme, items, request_it, folder):
        export = request_it()
        job = running(export)
        cancel_export(tenant_id=acme.pk, export_id=export.pk, by="Ann")

        with pytest.raises(MoveRefused):
            run(job)

        export.refresh_from_db()
        assert export.status == ExportStatus.CANCELLED
        assert export.error == "Cancelled by Ann."
        assert files(folder) == []


class StallingPart(FilePart):
    def __init__(self, part, meanwhile):
        vars(self).update(vars(part))
        self.meanwhile = meanwhile

    def publish(self):
        self.meanwhile()
        super().publish()


class StallingStore(FileStore):
    """Does something else just before an attempt publishes: as if it had slept meanwhile."""

    def __init__(self, root, meanwhile):
        super().__init__(root)
        self.meanwhile = meanwhile

    def start_part(self, key, number):
        return StallingPart(super().start_part(key, number), self.meanwhile)


@pytest.mark.django_db(transaction=True)
class TestZombie:
    def test_that_slept_before_its_publish_leaves_the_winners_file(
        self, items, request_it, folder, monkeypatch
    ):
        # Given an attempt that sleeps after its last look at the fence
        export = request_it()
        zombie = running(export)
        real = FileStore(folder)

        def another_wins():
            monkeypatch.setattr(operations, "object_store", lambda: real)
            Item.objects.filter(pk=items[0].pk).delete()  # So that the files differ.
            run(taken_over(zombie))

        stalling = StallingStore(folder, another_wins)
        monkeypatch.setattr(operations, "object_store", lambda: stalling)

        # When it wakes up after another has published and settled
        with pytest.raises(Superseded):
            run(zombie)

        # Then the winner's bytes stay, and what the row says of them
        export.refresh_from_db()
        assert export.status == ExportStatus.COMPLETED
        assert export.row_count == len(items) - 1
        assert export.sha256 == hashlib.sha256(content(export)).hexdigest()
        assert len(files(folder)) == 1

    def test_that_slept_before_its_last_look_publishes_nothing(self, items, request_it, folder):
        export = request_it()
        zombie = running(export)
        run(taken_over(zombie))
        with pytest.raises(MoveRefused):
            run(zombie)
        assert len(files(folder)) == 1

    def test_of_a_cancelled_run_cannot_publish_into_its_retry(
        self, acme, items, request_it, folder, monkeypatch
    ):
        # Given an attempt that sleeps, and is cancelled and run again as a new job
        export = request_it()
        zombie = running(export)
        real = FileStore(folder)

        def cancelled_and_run_again():
            monkeypatch.setattr(operations, "object_store", lambda: real)
            cancel_export(tenant_id=acme.pk, export_id=export.pk, by="Ann")
            retry_export(tenant_id=acme.pk, export_id=export.pk, by="Ann")
            Item.objects.filter(pk=items[0].pk).delete()
            run_enqueued_jobs()

        stalling = StallingStore(folder, cancelled_and_run_again)
        monkeypatch.setattr(operations, "object_store", lambda: stalling)

        with pytest.raises(Superseded):
            run(zombie)
        export.refresh_from_db()
        assert export.row_count == len(items) - 1
        assert export.sha256 == hashlib.sha256(content(export)).hexdigest()


class TestFailure:
    @pytest.fixture
    def failed(self, request_it, monkeypatch, folder):
        folder.parent.mkdir(exist_ok=True)
        folder.write_text("in the way")  # A file where the store's folder should be.
        export = request_it()
        run_enqueued_jobs(raise_errors=False)
        folder.unlink()
        export.refresh_from_db()
        return export

    def test_is_told_with_its_reason(self, failed):
        assert failed.status == ExportStatus.FAILED
        assert "FileExistsError" in failed.error or "NotADirectoryError" in failed.error
        assert count_attempts(failed) == 4
        with pytest.raises(NotCompleted, match="is failed"):
            open_download(failed)

    def test_keeps_its_id_when_it_runs_again(self, acme, items, failed):
        old_job = failed.job_id
        again = retry_export(tenant_id=acme.pk, export_id=failed.pk, by="Ann")
        assert (again.pk, again.status, again.error) == (failed.pk, ExportStatus.QUEUED, "")
        assert again.job_id != old_job

        run_enqueued_jobs()
        failed.refresh_from_db()
        assert failed.status == ExportStatus.COMPLETED
        assert failed.row_count == len(items)

    def test_follows_its_job_when_that_is_run_again(self, failed):
        new = replay_job(job_id=failed.job_id, by="Ann")
        failed.refresh_from_db()
        assert (failed.job_id, failed.status) == (new.pk, ExportStatus.QUEUED)

    def test_shows_as_processing_until_its_next_attempt(self, request_it):
        export = request_it()
        job = running(export)
        with job.fence():
            operations.begin_part(job, export.pk)
        lifecycle.retry_later(job, ValueError("no"), timedelta(seconds=10))
        export.refresh_from_db()
        assert export.status == ExportStatus.PROCESSING

    def test_keeps_its_attempts_when_its_job_is_deleted(self, acme, failed):
        Job.objects.filter(pk=failed.job_id).delete()
        failed.refresh_from_db()
        assert count_attempts(failed) == 4
        with pytest.raises(NotReplayable, match="request the export again"):
            retry_export(tenant_id=acme.pk, export_id=failed.pk, by="Ann")


class TestCancelExport:
    def test_takes_it_back_before_it_began(self, acme, request_it, folder):
        export = request_it()
        cancelled = cancel_export(tenant_id=acme.pk, export_id=export.pk, by="Ann")
        assert cancelled.status == ExportStatus.CANCELLED
        assert run_enqueued_jobs() == []
        assert files(folder) == []

    def test_refuses_one_that_has_settled(self, acme, request_it):
        export = request_it()
        run_enqueued_jobs()
        with pytest.raises(NotLive):
            cancel_export(tenant_id=acme.pk, export_id=export.pk, by="Ann")
        with pytest.raises(NotReplayable):
            retry_export(tenant_id=acme.pk, export_id=export.pk, by="Ann")


class TestQueries:
    def test_know_no_export_of_another_tenant(self, request_it):
        export = request_it()
        stranger = make_tenant("stranger")
        for tenant_id, export_id in ((stranger.pk, export.pk), (export.tenant_id, uuid.uuid4())):
            with pytest.raises(UnknownExport):
                get_export(tenant_id, export_id)
        assert list_exports(stranger.pk) == []

    def test_list_newest_first_in_pages(self, acme, request_it):
        newest = [request_it().pk for _ in range(3)][::-1]
        assert [export.pk for export in list_exports(acme.pk, limit=2)] == newest[:2]
        assert [export.pk for export in list_exports(acme.pk, before=newest[1])] == newest[2:]


class TestDownload:
    def test_says_so_when_the_store_lost_the_file(self, request_it, folder):
        export = request_it(user_id=make_member(make_tenant("other")).pk)
        run_enqueued_jobs()
        export.refresh_from_db()
        (folder / export.key).unlink()
        with pytest.raises(NoSuchObject):
            open_download(export)

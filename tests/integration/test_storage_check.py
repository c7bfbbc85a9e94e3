"""The check of `doctor` that exports can be stored leaves nothing behind, and makes no store."""

import errno
import os
import shutil

import pytest

from exports import doctor
from exports.doctor import storage_works
from exports.models import Export
from exports.object_store import file, s3
from exports.object_store.file import FileStore
from exports.object_store.s3 import S3Store, client_of_process
from exports.operations import request_export
from exports.states import ExportStatus
from jobs.doctor import Status
from tests.harness.s3 import make_bucket, s3_server
from tests.people import make_tenant

pytestmark = pytest.mark.django_db

DISK_IS_FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def folder(settings, tmp_path):
    settings.EXPORTS_STORAGE_URL = f"file://{tmp_path / 'exports'}"
    return tmp_path / "exports"


@pytest.fixture(scope="module")
def endpoint():
    with s3_server() as endpoint, pytest.MonkeyPatch.context() as patch:
        for name, value in make_bucket(endpoint).environment.items():
            patch.setenv(name, value)
        client_of_process.cache_clear()
        yield endpoint
        client_of_process(os.getpid()).close()
        client_of_process.cache_clear()


@pytest.fixture
def bucket(settings, endpoint):
    bucket = make_bucket(endpoint)
    settings.EXPORTS_STORAGE_URL = bucket.url
    return S3Store(bucket.name)


def left_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def left_in_bucket(store):
    client, name = store.client, store.bucket
    objects = client.list_objects_v2(Bucket=name).get("Contents", [])
    return objects + client.list_multipart_uploads(Bucket=name).get("Uploads", [])


def make_export():
    wanted = {"tenant": make_tenant(), "dataset": "items", "format": "csv"}
    return Export.objects.create(status=ExportStatus.COMPLETED, parts_started=1, **wanted)


def fail(*_, **__):
    raise DISK_IS_FULL


class TestAStoreThatWorks:
    def test_is_left_as_it_was(self, folder, bucket, settings):
        assert storage_works().status == Status.OK
        assert left_in_bucket(bucket) == []

        settings.EXPORTS_STORAGE_URL = f"file://{folder}"
        assert storage_works().status == Status.OK
        assert left_in(folder) == []

    def test_needs_no_database(self, folder, django_assert_num_queries):
        folder.mkdir()
        with django_assert_num_queries(0):
            assert storage_works().status == Status.OK


class TestAStoreThatFails:
    @pytest.mark.parametrize(
        ("owner", "step"),
        [
            (file.FilePart, "write"),
            (file.FilePart, "publish"),
            (os, "fsync"),
            (os, "replace"),
            (file, "sync_folder"),
            (FileStore, "size"),
        ],
    )
    def test_has_no_leftover_in_its_folder(self, folder, monkeypatch, owner, step):
        monkeypatch.setattr(owner, step, fail)

        found = storage_works()

        assert (found.status, "No space left" in found.found) == (Status.FAILED, True)
        assert left_in(folder) == []

    @pytest.mark.parametrize(
        ("owner", "step"), [(s3.S3Part, "write"), (s3.S3Part, "publish"), (S3Store, "size")]
    )
    def test_has_no_leftover_in_its_bucket(self, bucket, monkeypatch, owner, step):
        monkeypatch.setattr(owner, step, fail)

        found = storage_works()

        assert (found.status, "No space left" in found.found) == (Status.FAILED, True)
        assert left_in_bucket(bucket) == []

    def test_tells_of_its_first_failure(self, folder, monkeypatch):
        discard = file.FilePart.discard

        def refuse(part):
            discard(part)
            raise PermissionError("not yours")

        monkeypatch.setattr(file.FilePart, "write", fail)
        monkeypatch.setattr(file.FilePart, "discard", refuse)

        assert "No space left" in storage_works().found

    def test_is_one_that_does_not_delete(self, folder, monkeypatch):
        monkeypatch.setattr(FileStore, "delete", fail)
        assert storage_works().status == Status.FAILED

    def test_is_one_that_holds_less_than_was_written(self, folder, monkeypatch):
        monkeypatch.setattr(FileStore, "size", lambda *_: len(doctor.PROBE) - 1)
        assert "are there" in storage_works().found
        assert left_in(folder) == []


class TestAFolderThatIsMissing:
    def test_is_made_where_nobody_has_exported_yet(self, folder):
        assert storage_works().status == Status.OK
        assert folder.is_dir()

    def test_is_made_where_the_first_export_has_not_begun(self, folder):
        tenant = make_tenant()
        request_export(tenant_id=tenant.pk, user_id=None, dataset="items", format="csv")
        assert storage_works().status == Status.OK

    def test_is_told_of_and_not_made_where_files_were_written(self, folder):
        # Given a folder that was mounted
        make_export()
        folder.mkdir()
        assert storage_works().status == Status.OK

        # When it is no longer, then every look says so
        shutil.rmtree(folder)
        for _ in range(2):
            found = storage_works()
            assert (found.status, "is not there" in found.found) == (Status.FAILED, True)
            assert "EXPORTS_STORAGE_URL" in found.remedy
        assert not folder.exists()

"""After the clean-up of exports no file is without a row, and no row is without a file."""

import os
import shutil
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

import pytest
from django.db import transaction
from django.utils import timezone

from exports.cleanup import log_events, strays
from exports.cleanup.clean_up import clean_up
from exports.errors import StoreLooksWrong, StoreMissing, Superseded
from exports.models import Export
from exports.object_store.file import FileStore
from exports.operations import request_export, retry_export
from exports.states import ExportStatus
from exports.tasks import delete_expired_files
from jobs.errors import NotReplayable
from jobs.models import Job
from jobs.operations import cancel_job, replay_job
from jobs.testing import run_enqueued_jobs
from tests.cleaning import meanwhile, run_part
from tests.deliveries import at_once
from tests.people import make_tenant

pytestmark = pytest.mark.django_db(transaction=True)

NOW = timezone.now()
DAY, INSTANT = timedelta(days=1), timedelta(microseconds=1)
MONTH = NOW - 30 * DAY
OLD = MONTH - INSTANT


@pytest.fixture(autouse=True)
def store(settings, tmp_path):
    settings.EXPORTS_STORAGE_URL = f"file://{tmp_path / 'exports'}"
    return FileStore(tmp_path / "exports")


@pytest.fixture
def make_export(acme, store):
    """Make an export as it is once it has settled, with a file as old as it."""

    def make_export(status=ExportStatus.COMPLETED, *, settled_at=NOW, file=True, tenant=acme):
        wanted = {"dataset": "items", "format": "csv"}
        export = Export.objects.create(
            tenant=tenant, status=status, settled_at=settled_at, parts_started=1, **wanted
        )
        if file:
            put(store, export.key, at=settled_at or NOW)
        return export

    return make_export


def request_and_cancel(tenant):
    asked = {"tenant_id": tenant.pk, "user_id": None, "dataset": "items", "format": "csv"}
    export = request_export(**asked)
    assert export.job_id
    cancel_job(job_id=export.job_id, by="ann")
    return export


def put(store, key, *, at=NOW):
    part = store.start_part(key, 1)
    part.write(b"id\n")
    part.publish()
    grow_old(store.root / key, at)


def grow_old(path, at):
    os.utime(path, (at.timestamp(), at.timestamp()))


class FailsAt(FileStore):
    """A store whose connection breaks once, before or after it has deleted a file."""

    def __init__(self, root, number, *, file_gone):
        super().__init__(root)
        self.number, self.file_gone = number, file_gone

    def delete(self, key):
        self.number -= 1
        if self.number == 0 and not self.file_gone:
            raise OSError("the network is down")
        super().delete(key)
        if self.number == 0:
            raise OSError("the network is down")


def count_free():
    """Return how many exports nobody has locked."""
    with transaction.atomic():
        return len(Export.objects.select_for_update(skip_locked=True))


def files(store):
    return {each.key for each in store.list_objects("exports")}


def exports():
    return set(Export.objects.values_list("pk", flat=True))


def both(*kept):
    """Return what rows and files there are when these exports are left."""
    return {each.pk for each in kept}, {each.key for each in kept}


class TestExpiredExports:
    def test_go_to_the_instant_with_their_files(self, make_export, store):
        make_export(settled_at=OLD)
        kept = make_export(settled_at=MONTH)

        run_part(delete_expired_files, at=NOW)

        assert (exports(), files(store)) == both(kept)

    @pytest.mark.parametrize("status", [ExportStatus.FAILED, ExportStatus.CANCELLED])
    def test_go_when_they_came_to_nothing(self, make_export, store, status):
        make_export(status, settled_at=OLD)
        make_export(status, settled_at=OLD, file=False)

        clean_up(store, now=NOW)

        assert (exports(), files(store)) == both()

    @pytest.mark.parametrize("status", [ExportStatus.QUEUED, ExportStatus.PROCESSING])
    def test_stay_while_they_are_live(self, make_export, store, status):
        live = make_export(status, settled_at=None)
        Export.objects.update(created_at=NOW - 400 * DAY)
        grow_old(store.root / live.key, NOW - 400 * DAY)

        clean_up(store, now=NOW)

        assert (exports(), files(store)) == both(live)

    def test_measure_by_the_time_of_the_slot(self, make_export):
        make_export(settled_at=NOW)

        run_part(delete_expired_files, at=NOW + 31 * DAY)

        assert exports() == set()

    def test_lose_the_file_first_and_are_finished_by_the_next_run(self, make_export, store):
        # Given a clean-up that is killed between a file and its row
        export = make_export(settled_at=OLD)

        class Killed(FileStore):
            def delete(self, key):
                super().delete(key)
                raise RuntimeError("killed")

        with pytest.raises(RuntimeError):
            clean_up(Killed(store.root), now=NOW)
        assert (exports(), files(store)) == ({export.pk}, set())

        # Then the next one takes the row
        clean_up(store, now=NOW)
        assert exports() == set()

    @pytest.mark.parametrize("file_gone", [False, True])
    def test_go_one_by_one_so_that_a_failure_costs_no_row_of_another(
        self, make_export, store, file_gone
    ):
        # Given a store that fails once, at the sixteenth of twenty files
        for _ in range(20):
            make_export(settled_at=OLD)
        with pytest.raises(OSError, match="the network"):
            clean_up(FailsAt(store.root, 16, file_gone=file_gone), now=NOW)
        assert len(exports()) == 5

        # Then the next run takes this store for the right one, and goes on
        clean_up(store, now=NOW)
        assert (exports(), files(store)) == both()

    def test_are_locked_one_at_a_time(self, make_export, store):
        for _ in range(3):
            make_export(settled_at=OLD)
        free = []

        class Watched(FileStore):
            def delete(self, key):
                free.extend(at_once(count_free))
                super().delete(key)

        clean_up(Watched(store.root), now=NOW)
        assert free == [2, 1, 0]

    def test_go_once_when_the_clean_up_runs_twice_at_once(self, make_export, store):
        kept = make_export()
        for _ in range(20):
            make_export(settled_at=OLD)
        clean = partial(clean_up, store, now=NOW)

        assert at_once(clean, clean) == [None, None]
        assert (exports(), files(store)) == both(kept)


class TestARetryByHand:
    @pytest.fixture
    def failed(self, acme):
        """A real export that was cancelled long ago, with its job."""
        export = request_and_cancel(acme)
        Export.objects.update(settled_at=OLD)
        return export

    def retry(self, export):
        return retry_export(tenant_id=export.tenant_id, export_id=export.pk, by="ann")

    def test_at_the_same_time_keeps_its_export(self, failed, store):
        store.root.mkdir()
        with meanwhile(lambda: self.retry(failed)):
            clean_up(store, now=NOW)

        clean_up(store, now=NOW)
        assert Export.objects.get().status == ExportStatus.QUEUED

    def test_keeps_a_leftover_file_that_its_attempt_replaces(self, failed, store):
        put(store, failed.key, at=NOW - 2 * DAY)
        self.retry(failed)

        assert not strays.delete_orphan(store, failed.key)
        run_enqueued_jobs()
        clean_up(store, now=NOW)
        assert (exports(), files(store)) == both(failed)

    def test_that_comes_too_late_is_refused(self, failed, store):
        store.root.mkdir()
        job = Job.objects.get(pk=failed.job_id)
        clean_up(store, now=NOW)
        assert exports() == set()

        with pytest.raises(NotReplayable, match="request the export again"):
            replay_job(job_id=job.pk, by="ann")
        assert Job.objects.get() == job


class TestFilesWithoutARow:
    @pytest.mark.parametrize(
        "key",
        [
            "exports/0193/lost.csv",
            "exports/lost.csv",
            "exports/0193aaaa-0000-7000-8000-000000000001/deeper/lost.json",
            "exports/0193aaaa-0000-7000-8000-000000000001/0193bbbb-0000-7000-8000-000000000001.csv",
        ],
    )
    def test_are_deleted_after_a_day(self, store, key):
        put(store, key, at=NOW - DAY)
        clean_up(store, now=NOW)
        assert files(store) == {key}

        grow_old(store.root / key, NOW - DAY - timedelta(seconds=1))
        clean_up(store, now=NOW)
        assert files(store) == set()

    @pytest.mark.parametrize("status", [ExportStatus.FAILED, ExportStatus.CANCELLED])
    def test_are_those_of_exports_that_came_to_nothing(self, make_export, store, status):
        export = make_export(status, settled_at=NOW - 2 * DAY)

        clean_up(store, now=NOW)

        assert (exports(), files(store)) == ({export.pk}, set())

    def test_are_those_of_another_tenant_or_format(self, make_export, store):
        export = make_export(settled_at=NOW - 2 * DAY)
        other = make_tenant("globex")
        put(store, export.key.replace("csv", "json"), at=NOW - 2 * DAY)
        put(store, export.key.replace(str(export.tenant_id), str(other.pk)), at=NOW - 2 * DAY)

        clean_up(store, now=NOW)

        assert (exports(), files(store)) == both(export)

    def test_are_looked_for_among_exports_alone(self, store):
        put(store, "doctor/0193.csv", at=NOW - 9 * DAY)
        put(store, "reports/0193.csv", at=NOW - 9 * DAY)
        clean_up(store, now=NOW)

        assert store.size("doctor/0193.csv")
        assert store.size("reports/0193.csv")

    def test_are_parts_that_nobody_has_written_to_for_a_day(self, make_export, store):
        export = make_export()
        stale, fresh = (store.start_part(f"{export.key[:-4]}{n}.csv", 1) for n in (1, 2))
        probe = store.start_part("doctor/0193.csv", 1)
        for part in (stale, probe):
            grow_old(part.path, NOW - DAY - timedelta(seconds=1))
        clean_up(store, now=NOW)

        fresh.publish(), probe.publish()
        with pytest.raises(Superseded):
            stale.publish()


class TestRowsWithoutAFile:
    def test_are_deleted_with_a_warning(self, make_export, store, caplog):
        kept, lost = make_export(), make_export(file=False)

        clean_up(store, now=NOW)

        assert (exports(), files(store)) == both(kept)
        [said] = [each.getMessage() for each in caplog.records if "file_lost" in each.getMessage()]
        assert str(lost.pk) in said

    def test_are_deleted_where_their_tenant_has_no_file_at_all(self, make_export, store):
        kept = make_export(tenant=make_tenant("globex"))
        make_export(file=False)

        clean_up(store, now=NOW)

        assert exports() == {kept.pk}

    def test_stay_if_their_file_came_after_the_look(self, make_export, store):
        export = make_export()
        assert not strays.delete_fileless(store, export.pk)
        assert exports() == {export.pk}

    @pytest.mark.parametrize("status", [ExportStatus.FAILED, ExportStatus.QUEUED])
    def test_are_completed_ones(self, make_export, store, status):
        store.root.mkdir()
        export = make_export(status, file=False)
        clean_up(store, now=NOW)
        assert exports() == {export.pk}


class TestAStoreThatLooksWrong:
    @contextmanager
    def nothing_deleted(self, store):
        before = exports(), files(store)
        yield
        assert (exports(), files(store)) == before

    def test_is_one_whose_folder_is_missing(self, make_export, store):
        make_export(settled_at=OLD)
        shutil.rmtree(store.root)

        with self.nothing_deleted(store), pytest.raises(StoreMissing, match="EXPORTS_STORAGE_URL"):
            clean_up(store, now=NOW)

    def test_is_none_before_anybody_has_exported(self, store):
        clean_up(store, now=NOW)
        assert not store.root.exists()

    def test_is_none_where_the_only_export_never_began(self, acme, store):
        request_and_cancel(acme)

        clean_up(store, now=NOW)

        assert Export.objects.get().status == ExportStatus.CANCELLED

    @pytest.mark.parametrize(("there", "missing"), [(0, 2), (1, 2), (5, 6), (0, 11)])
    def test_is_one_that_lacks_more_than_half(self, make_export, store, there, missing):
        # Given rows without a file, a file without a row, and a part that nobody writes to
        for number in range(there + missing):
            make_export(file=number < there)
        put(store, "exports/0193/somebody-elses.csv", at=NOW - 2 * DAY)
        stale = store.start_part("exports/0193/stale.csv", 1)
        grow_old(stale.path, NOW - 2 * DAY)

        # Then all are left alone
        with self.nothing_deleted(store):
            said = f"{missing} of {there + missing} completed exports have no file"
            with pytest.raises(StoreLooksWrong, match=said):
                clean_up(store, now=NOW)
        stale.publish()

    def test_loses_what_has_expired_and_says_so(self, make_export, store):
        kept = make_export(file=False), make_export(file=False)
        make_export(settled_at=OLD, file=False), make_export(settled_at=OLD)

        with pytest.raises(StoreLooksWrong, match=r"expired was deleted \(2\)"):
            clean_up(store, now=NOW)

        assert (exports(), files(store)) == ({each.pk for each in kept}, set())

    def test_costs_no_file_once_the_right_one_is_back(self, make_export, store):
        # Given an empty folder, for the disk that should be mounted there is not
        kept = make_export(settled_at=NOW - 2 * DAY), make_export(settled_at=NOW - 2 * DAY)
        expired = make_export(settled_at=OLD)
        away = store.root.rename(store.root.with_name("away"))
        store.root.mkdir()
        with pytest.raises(StoreLooksWrong):
            clean_up(store, now=NOW)

        # When it is mounted again, then only the file of what had expired is without a row
        store.root.rmdir()
        away.rename(store.root)
        assert files(store) == {each.key for each in (*kept, expired)}
        clean_up(store, now=NOW)
        assert (exports(), files(store)) == both(*kept)

    def test_stops_looking_wrong_once_what_was_lost_has_expired(self, make_export, store):
        store.root.mkdir()
        make_export(file=False), make_export(file=False)
        later = NOW + 31 * DAY

        for now in (NOW, later):
            with pytest.raises(StoreLooksWrong):
                clean_up(store, now=now)

        kept = make_export(settled_at=later)
        clean_up(store, now=later)
        assert (exports(), files(store)) == both(kept)

    @pytest.mark.parametrize(("there", "missing"), [(0, 1), (1, 1), (2, 2), (6, 5)])
    def test_is_none_that_lacks_half_or_a_single_file(self, make_export, store, there, missing):
        store.root.mkdir()
        for number in range(there + missing):
            make_export(file=number < there)

        clean_up(store, now=NOW)

        assert len(exports()) == len(files(store)) == there

    def test_fails_its_job_with_the_reason(self, make_export, store):
        make_export()
        shutil.rmtree(store.root)

        with pytest.raises(StoreMissing):
            run_part(delete_expired_files, at=NOW)

        job = Job.objects.get()
        assert (job.state, job.failures) == ("failed", 4)
        assert str(store.root) in job.error

    def test_fails_its_job_with_what_was_done_and_what_to_do(self, make_export, store):
        store.root.mkdir()
        make_export(file=False), make_export(file=False)

        with pytest.raises(StoreLooksWrong):
            run_part(delete_expired_files, at=NOW)

        job = Job.objects.get()
        assert (job.state, job.failures) == ("failed", 4)
        for words in ("EXPORTS_STORAGE_URL", "left alone", "run exports.delete_expired_files"):
            assert words in job.error

    def test_is_one_whose_folders_cannot_be_read(self, make_export, store, monkeypatch):
        make_export()

        def refuse(*_):
            raise PermissionError("not yours")

        monkeypatch.setattr(os, "scandir", refuse)
        with pytest.raises(PermissionError):
            clean_up(store, now=NOW)
        assert len(exports()) == 1


class TestCleanUp:
    def test_finds_nothing_the_second_time(self, make_export, store, monkeypatch):
        kept = make_export(), make_export(ExportStatus.FAILED, file=False)
        make_export(settled_at=OLD), make_export(file=False)
        put(store, "exports/0193/lost.csv", at=NOW - 2 * DAY)
        said: list[dict[str, int]] = []
        monkeypatch.setattr(log_events, "cleaned", said.append)

        clean_up(store, now=NOW)
        clean_up(store, now=NOW)

        assert said == [
            {"expired": 1, "orphans": 1, "fileless": 1, "parts": 0},
            {"expired": 0, "orphans": 0, "fileless": 0, "parts": 0},
        ]
        assert exports() == {each.pk for each in kept}

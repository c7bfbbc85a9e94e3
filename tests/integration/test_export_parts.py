"""The parts of an export make the file of a single job, and no other file passes for it."""

import hashlib
import json
import os
import subprocess
import sys
import tracemalloc
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from exports.cleanup.clean_up import clean_up
from exports.datasets import get_dataset
from exports.errors import ManifestDamaged, NoSuchObject, PartDamaged, PartsDamaged, Superseded
from exports.models import Export
from exports.object_store.file import FileStore
from exports.parts import version
from exports.parts.facts import PartFacts
from exports.parts.keys import manifest_key, part_key, parts_folder
from exports.parts.manifest import delete_manifest, read_manifest, write_manifest
from exports.parts.ranges import cut
from exports.parts.removing import remove_parts
from exports.states import ExportStatus
from jobs.engine.history import MESSAGE_MAX_CHARACTERS
from project.workspace.models import Item, Project
from tests.exporting_parts import (
    content,
    make_store,
    of_a_single_job,
    put,
    put_together,
    s3_endpoint,
    write,
    write_all,
)
from tests.harness.variables import CHECKOUT
from tests.harness.waiting import wait_for
from tests.hostile import HOSTILE_TEXTS
from tests.people import make_tenant

pytestmark = pytest.mark.django_db(transaction=True)

NOW = timezone.now()
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def endpoint():
    with s3_endpoint() as endpoint:
        yield endpoint


@pytest.fixture(params=["file", "s3"])
def store(request, tmp_path, endpoint, settings):
    store, settings.EXPORTS_STORAGE_URL = make_store(request.param, tmp_path / "exports", endpoint)
    return store


@pytest.fixture
def folder(tmp_path):
    return FileStore(tmp_path / "exports")


@pytest.fixture
def project():
    return Project.objects.create(tenant=make_tenant(), name="Autumn")


@pytest.fixture
def add_items(project):
    def add_items(rows):
        return Item.objects.bulk_create(
            Item(**{"project": project, "tenant": project.tenant, "sku": f"S{number}"} | row)
            for number, row in enumerate(rows)
        )

    return add_items


@pytest.fixture
def make_export(project):
    def make_export(format="csv", status=ExportStatus.PROCESSING, **fields):
        wanted = {"dataset": "items", "format": format, "parts_started": 1}
        return Export.objects.create(tenant=project.tenant, status=status, **wanted | fields)

    return make_export


@pytest.fixture(params=["csv", "json"])
def export(request, make_export):
    return make_export(request.param)


def keys(store, folder="parts"):
    return [each.key for each in store.list_objects(folder)]


class TestFile:
    @pytest.mark.parametrize(
        ("rows", "rows_per_part"), [(0, 2), (1, 2), (2, 1), (7, 1), (7, 2), (7, 7), (7, 100)]
    )
    def test_has_the_bytes_of_a_single_job(self, store, add_items, export, rows, rows_per_part):
        add_items({"name": "=1+1, lamp"} for _ in range(rows))

        facts = write_all(store, export, rows_per_part=rows_per_part)
        file = put_together(store, export, facts)

        data = of_a_single_job(export)
        assert content(store, export.key) == data
        assert (file.row_count, file.size_bytes) == (rows, len(data))
        assert file.sha256 == hashlib.sha256(data).hexdigest()

    @pytest.mark.parametrize("rows_per_part", [1, 10])
    def test_takes_hostile_texts(self, folder, add_items, export, rows_per_part):
        add_items(
            {"name": text[:200], "description": text, "tags": [text]} for text in HOSTILE_TEXTS
        )
        facts = write_all(folder, export, rows_per_part=rows_per_part)
        put_together(folder, export, facts)
        assert content(folder, export.key) == of_a_single_job(export)

    @pytest.mark.parametrize("emptied", [{0}, {1}, {2}, {0, 1}, {1, 2}, {0, 2}, {0, 1, 2}], ids=str)
    def test_has_no_trace_of_parts_that_are_empty(self, store, add_items, export, emptied):
        # Given ranges whose rows are deleted before they are read
        add_items({} for _ in range(6))
        ranges = cut(get_dataset("items"), export.tenant_id, rows_per_part=2)
        items = list(Item.objects.order_by("pk"))
        for number in emptied:
            Item.objects.filter(pk__in=[each.pk for each in items[2 * number :][:2]]).delete()

        facts = [write(store, export, each) for each in ranges]
        put_together(store, export, facts)

        assert {each.number - 1 for each in facts if not each.size_bytes} == emptied
        assert content(store, export.key) == of_a_single_job(export)

    def test_has_changed_rows_in_either_version_and_added_ones_not(
        self, folder, add_items, make_export, project
    ):
        export = make_export("json")
        first, second = sorted(add_items([{}, {}]), key=lambda item: item.pk)
        ranges = cut(get_dataset("items"), export.tenant_id, rows_per_part=1)

        done = write(folder, export, ranges[0])
        Item.objects.update(name="changed")
        Item.objects.create(project=project, tenant=project.tenant, sku="LATE")
        put_together(folder, export, [done, write(folder, export, ranges[1])])

        rows = json.loads(content(folder, export.key))
        assert [row["name"] for row in rows] == ["", "changed"]
        assert [row["id"] for row in rows] == [str(first.pk), str(second.pk)]


class TestWritePart:
    @pytest.fixture
    def export(self, make_export):
        return make_export("csv")

    def test_tells_what_it_wrote(self, store, add_items, export):
        add_items({} for _ in range(5))
        [_, second, _] = ranges = cut(get_dataset("items"), export.tenant_id, rows_per_part=2)

        facts = write(store, export, second)

        data = content(store, facts.key)
        assert facts == PartFacts(
            number=2,
            key=f"parts/{export.tenant_id}/{export.pk}/00002.{export.format}",
            rows=2,
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            after=ranges[0].up_to,
            up_to=second.up_to,
        )
        assert PartFacts.from_json(json.loads(json.dumps(facts.as_json()))) == facts

    def test_shows_its_rows_block_by_block(self, folder, add_items, export):
        add_items({"description": "x" * 1000} for _ in range(2000))
        [whole] = cut(get_dataset("items"), export.tenant_id, rows_per_part=9999)
        shown: list[int] = []
        write(folder, export, whole, show=shown.append)
        assert len(shown) > 2
        assert (shown, shown[-1]) == (sorted(shown), 2000)

    @pytest.mark.parametrize("by", ["show", "before_publish"])
    def test_publishes_nothing_when_the_job_is_lost(self, store, add_items, export, by):
        add_items([{}])
        [whole] = cut(get_dataset("items"), export.tenant_id, rows_per_part=1)

        def refuse(*_):
            raise LookupError("cancelled")

        hooks: dict[str, Any] = {by: refuse}
        with pytest.raises(LookupError, match="cancelled"):
            write(store, export, whole, **hooks)
        assert keys(store) == []
        assert store.remove_stale_parts("parts", before=NOW + DAY) == 0

    def test_ends_its_statement_when_it_is_interrupted(self, folder, add_items, export):
        add_items({"description": "x" * 1000} for _ in range(3000))
        [whole] = cut(get_dataset("items"), export.tenant_id, rows_per_part=9999)

        def refuse(rows):
            raise LookupError("cancelled")

        with pytest.raises(LookupError):
            write(folder, export, whole, show=refuse)
        wait_for(lambda: copies_running() == 0, 30, "the server to notice")

    def test_of_a_zombie_leaves_the_winners_bytes(self, store, add_items, export):
        # Given an attempt that sleeps after its last look at the fence
        [item] = add_items([{"name": "late"}])
        [whole] = cut(get_dataset("items"), export.tenant_id, rows_per_part=1)
        won = []

        def another_wins():
            Item.objects.update(name="in time")
            won.append(write(store, export, whole, attempt=2))

        # When it wakes up after another has published, then it is refused
        with pytest.raises(Superseded):
            write(store, export, whole, before_publish=another_wins)
        put_together(store, export, won)
        assert b"in time" in content(store, export.key)

    def test_of_a_zombie_does_not_come_back_after_the_parts_are_removed(
        self, store, add_items, export
    ):
        add_items([{}])
        [whole] = cut(get_dataset("items"), export.tenant_id, rows_per_part=1)

        def all_is_over():
            put_together(store, export, [write(store, export, whole, attempt=2)])
            remove_parts(store, export.tenant_id, export.pk)

        with pytest.raises(Superseded):
            write(store, export, whole, before_publish=all_is_over)
        assert keys(store) == []

    def test_replaces_what_a_lost_attempt_published(self, store, add_items, export):
        add_items([{"name": "before"}])
        [whole] = cut(get_dataset("items"), export.tenant_id, rows_per_part=1)
        write(store, export, whole)
        Item.objects.update(name="afterwards")
        put_together(store, export, [write(store, export, whole, attempt=2)])
        assert content(store, export.key) == of_a_single_job(export)


def copies_running():
    """Count the other connections to the database that copy, or did so last."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND query LIKE 'COPY%'"
        )
        return cursor.fetchone()[0]


class TestAssemble:
    @pytest.fixture
    def export(self, make_export):
        return make_export("json")

    @pytest.fixture
    def facts(self, store, add_items, export):
        add_items({} for _ in range(6))
        return write_all(store, export, rows_per_part=2)

    @pytest.fixture
    def nothing_published(self, store, export):
        yield
        with pytest.raises(NoSuchObject):
            store.size(export.key)

    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_refuses_a_part_that_is_missing(self, store, export, facts, place, nothing_published):
        store.delete(facts[place].key)
        with pytest.raises(PartsDamaged, match=f"missing: {place + 1}. Retry the") as refused:
            put_together(store, export, facts)
        assert refused.value.keys == [facts[place].key]

    @pytest.mark.parametrize(
        "damage",
        [
            lambda data: data[:-1],
            lambda data: data + b" ",
            lambda data: bytes([data[0] ^ 1]) + data[1:],
            lambda data: b"",
        ],
        ids=["shorter", "longer", "changed", "empty"],
    )
    @pytest.mark.parametrize("place", [0, 2])
    def test_refuses_a_part_that_differs(
        self, store, export, facts, place, damage, nothing_published
    ):
        key = facts[place].key
        put(store, key, damage(content(store, key)))
        with pytest.raises(PartsDamaged, match=f"not what was written: {place + 1}. ") as refused:
            put_together(store, export, facts)
        assert refused.value.keys == [key]

    def test_names_every_part_that_is_damaged(self, store, add_items, export, nothing_published):
        add_items({} for _ in range(20))
        facts = write_all(store, export, rows_per_part=2)
        for place in (1, 3, 4, 5, 9):
            put(store, facts[place].key, b"x")
        store.delete(facts[7].key)

        with pytest.raises(PartsDamaged) as refused:
            put_together(store, export, facts)

        assert refused.value.keys == [facts[place].key for place in (1, 3, 4, 5, 7, 9)]
        folder = parts_folder(export.tenant_id, export.pk)
        assert str(refused.value) == (
            f"Damaged parts in {folder}: not what was written: 2, 4-6, 10; missing: 8. "
            "Retry the export: these are written again, the others are kept."
        )

    def test_looks_for_more_damage_no_longer_than_the_job_is_ours(self, store, export, facts):
        def refuse(rows):
            raise LookupError("cancelled")

        put(store, facts[0].key, b"")  # It has no block, and shows nothing.
        with pytest.raises(LookupError, match="cancelled"):
            put_together(store, export, facts, show=refuse)

    @pytest.mark.parametrize("order", [[0, 2], [1, 2], [1, 0, 2], [0, 1, 1, 2]], ids=str)
    def test_refuses_parts_that_do_not_follow_one_another(
        self, store, export, facts, order, nothing_published
    ):
        with pytest.raises(ValueError, match="in the order of their ranges"):
            put_together(store, export, [facts[place] for place in order])

    def test_shows_the_rows_of_the_parts_before(self, store, export, facts):
        shown: list[int] = []
        put_together(store, export, facts, show=shown.append)
        assert shown == [0, 2, 4]

    def test_of_a_zombie_leaves_the_winners_file(self, store, export, facts):
        def another_wins():
            put_together(store, export, facts, attempt=2)

        with pytest.raises(Superseded):
            put_together(store, export, facts, before_publish=another_wins)
        assert content(store, export.key) == of_a_single_job(export)

    def test_publishes_nothing_when_the_job_is_lost(self, store, export, facts, nothing_published):
        def refuse():
            raise LookupError("cancelled")

        with pytest.raises(LookupError, match="cancelled"):
            put_together(store, export, facts, before_publish=refuse)

    def test_may_be_repeated(self, store, export, facts):
        first = put_together(store, export, facts)
        assert put_together(store, export, facts, attempt=2) == first


class TestPartsDamaged:
    def test_has_a_text_that_is_stored_whole(self):
        keys = [f"parts/{uuid.uuid4()}/{uuid.uuid4()}/{number:05}.csv" for number in range(9999)]
        faults = ["missing", "not what was written", "missing", ""]
        damages = [PartDamaged(n, key, faults[n % 4]) for n, key in enumerate(keys) if n % 4 < 3]
        error = PartsDamaged(damages[::2])
        assert "in all" in str(error)
        assert len(str(error)) < MESSAGE_MAX_CHARACTERS
        assert str(error).endswith("these are written again, the others are kept.")
        assert error.keys == [each.key for each in damages[::2]]


class TestMemory:
    """A part of 30 MB, written and put together, takes a few blocks of half a megabyte."""

    PEAK_BYTES = 8_000_000

    def test_stays_flat(self, folder, add_items, export):
        add_items({"description": "x" * 10_000} for _ in range(3000))
        [whole] = cut(get_dataset("items"), export.tenant_id, rows_per_part=9999)

        tracemalloc.start()
        try:
            facts = write(folder, export, whole)
            put_together(folder, export, [facts])
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert facts.size_bytes > 30_000_000
        assert peak < self.PEAK_BYTES

    def test_stays_flat_while_damage_is_looked_for(self, folder, add_items, export):
        add_items({"description": "x" * 10_000} for _ in range(3000))
        facts = write_all(folder, export, rows_per_part=1500)
        put(folder, facts[0].key, b"x")
        tracemalloc.start()
        try:
            with pytest.raises(PartsDamaged):
                put_together(folder, export, facts)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert facts[1].size_bytes > 15_000_000
        assert peak < self.PEAK_BYTES


class TestManifest:
    @pytest.fixture
    def export(self, make_export):
        return make_export("json")

    @pytest.fixture
    def written(self, store, add_items, export):
        add_items({} for _ in range(5))
        facts = write_all(store, export, rows_per_part=2)
        file = put_together(store, export, facts)
        names = get_dataset("items").names
        return facts, file, write_manifest(store, export, names, facts, file, attempt=1)

    def test_is_read_as_it_was_written(self, store, export, written):
        facts, file, sha256 = written
        manifest = read_manifest(store, export)
        assert (manifest.export_id, manifest.sha256) == (export.pk, file.sha256)
        assert [part.sha256 for part in manifest.parts] == [part.sha256 for part in facts]
        data = content(store, manifest_key(export.tenant_id, export.pk))
        assert sha256 == hashlib.sha256(data).hexdigest()
        assert keys(store, "manifests") == [f"manifests/{export.tenant_id}/{export.pk}.json"]

    def test_says_what_the_file_is(self, store, export, written):
        facts, file, _ = written
        data = content(store, export.key)
        manifest = json.loads(content(store, manifest_key(export.tenant_id, export.pk)))

        assert manifest["export_id"] == str(export.pk)
        assert (manifest["dataset"], manifest["format"]) == ("items", export.format)
        assert manifest["columns"] == get_dataset("items").names
        assert (manifest["rows"], manifest["size_bytes"]) == (5, len(data))
        assert manifest["sha256"] == file.sha256
        assert manifest["code_version"] == version.CODE_VERSION
        assert "either version" in manifest["consistency"]
        assert [each["up_to"] for each in manifest["parts"]] == [each.up_to for each in facts]
        for part, each in zip(manifest["parts"], facts, strict=True):
            place = data[part["first_byte"] :][: part["size_bytes"]]
            assert place == content(store, each.key)
            assert part["sha256"] == hashlib.sha256(place).hexdigest()

    def test_is_missing_where_a_single_job_wrote_the_file(self, store, export):
        with pytest.raises(NoSuchObject):
            read_manifest(store, export)

    @pytest.mark.parametrize("data", [b"", b"{}", b"\xff\x00", b'{"parts": 1'])
    def test_is_refused_when_it_is_none(self, store, export, data):
        put(store, manifest_key(export.tenant_id, export.pk), data)
        with pytest.raises(ManifestDamaged, match="is no manifest"):
            read_manifest(store, export)

    def test_is_deleted_any_number_of_times(self, store, export, written):
        for _ in range(2):
            delete_manifest(store, export.tenant_id, export.pk)
        assert keys(store, "manifests") == []


class TestCodeVersion:
    def test_is_the_one_of_pyproject(self):
        assert (
            f'\nversion = "{version.CODE_VERSION}"\n' in (CHECKOUT / "pyproject.toml").read_text()
        )


class TestRemoveParts:
    def test_takes_the_parts_of_one_export_alone(self, store, add_items, make_export):
        add_items({} for _ in range(5))
        ours, others = make_export(), make_export()
        for export in (ours, others):
            write_all(store, export, rows_per_part=2)

        assert remove_parts(store, ours.tenant_id, ours.pk) == 3
        assert remove_parts(store, ours.tenant_id, ours.pk) == 0
        assert keys(store) == [part_key(others.key, number) for number in (1, 2, 3)]

    def test_leaves_no_folder_behind(self, folder, add_items, make_export):
        add_items([{}])
        export = make_export()
        write_all(folder, export, rows_per_part=1)
        remove_parts(folder, export.tenant_id, export.pk)
        assert not (folder.root / parts_folder(export.tenant_id, export.pk)).exists()


@pytest.mark.django_db
class TestCleanUp:
    """`clean_up` of an export's parts and manifest, by its status and by their age."""

    @pytest.fixture(autouse=True)
    def url(self, settings, folder):
        settings.EXPORTS_STORAGE_URL = f"file://{folder.root}"

    @pytest.fixture
    def make_old(self, make_export, folder):
        """Make an export whose file, parts and manifest were written two days ago."""

        def make_old(status, *, age=2 * DAY, settled_at=NOW):
            settled_at = None if status in (ExportStatus.QUEUED, "processing") else settled_at
            export = make_export(status=status, settled_at=settled_at)
            for key in (part_key(export.key, 1), part_key(export.key, 2), *kept_of(export)):
                put(folder, key, b"x")
                grow_old(folder.root / key, age)
            return export

        return make_old

    @pytest.mark.parametrize("status", [ExportStatus.QUEUED, ExportStatus.PROCESSING])
    def test_keeps_those_of_live_exports(self, make_old, folder, status):
        make_old(status)
        clean_up(folder, now=NOW)
        assert (len(keys(folder)), len(keys(folder, "manifests"))) == (2, 1)

    @pytest.mark.parametrize("status", [ExportStatus.FAILED, ExportStatus.CANCELLED])
    def test_takes_those_of_exports_that_came_to_nothing(self, make_old, folder, status):
        make_old(status)
        clean_up(folder, now=NOW)
        assert keys(folder) == keys(folder, "manifests") == []

    def test_takes_those_of_exports_that_are_gone(self, make_old, folder):
        gone = make_old(ExportStatus.PROCESSING)
        Export.objects.all().delete()
        clean_up(folder, now=NOW)
        assert keys(folder) == keys(folder, "manifests") == []
        assert not (folder.root / parts_folder(gone.tenant_id, gone.pk)).exists()

    def test_keeps_the_manifest_of_a_completed_one_and_not_its_parts(self, make_old, folder):
        make_old(ExportStatus.COMPLETED)
        clean_up(folder, now=NOW)
        assert (len(keys(folder)), len(keys(folder, "manifests"))) == (0, 1)

    def test_leaves_alone_what_is_younger_than_a_day(self, make_old, folder):
        make_old(ExportStatus.FAILED, age=DAY)
        clean_up(folder, now=NOW)
        assert (len(keys(folder)), len(keys(folder, "manifests"))) == (2, 1)

    def test_takes_the_manifest_of_an_expired_one_at_once(self, make_old, folder):
        make_old(ExportStatus.COMPLETED, age=0 * DAY, settled_at=NOW - 31 * DAY)
        clean_up(folder, now=NOW)
        assert not Export.objects.exists()
        assert keys(folder, "exports") == keys(folder, "manifests") == []

    @pytest.mark.parametrize(
        "key",
        [
            "parts/stray.csv",
            "parts/0193/stray.csv",
            "parts/0193/stray/00001.csv",
            "parts/0193/0193aaaa-0000-7000-8000-000000000001/00001.csv",
            "manifests/stray.json",
            "manifests/0193/stray.json",
            "manifests/0193/0193aaaa-0000-7000-8000-000000000001.json",
        ],
    )
    def test_takes_what_no_export_can_own(self, folder, key):
        put(folder, key, b"x")
        grow_old(folder.root / key, 2 * DAY)
        clean_up(folder, now=NOW)
        assert keys(folder) == keys(folder, "manifests") == []

    def test_takes_those_in_another_tenants_folder(self, make_old, folder):
        export = make_old(ExportStatus.PROCESSING)
        key = f"parts/{uuid.uuid4()}/{export.pk}/00001.csv"
        put(folder, key, b"x")
        grow_old(folder.root / key, 2 * DAY)
        clean_up(folder, now=NOW)
        assert key not in keys(folder)

    def test_takes_unpublished_parts_that_nobody_writes_to(self, make_export, folder):
        export = make_export()
        stale, fresh = (folder.start_part(part_key(export.key, number), 1) for number in (1, 2))
        grow_old(stale.path, DAY + timedelta(seconds=1))
        clean_up(folder, now=NOW)
        fresh.publish()
        with pytest.raises(Superseded):
            stale.publish()

    def test_takes_them_from_a_bucket_too(self, make_export, endpoint, tmp_path):
        store, _ = make_store("s3", tmp_path, endpoint)
        failed, live = make_export(status=ExportStatus.FAILED, settled_at=NOW), make_export()
        for export in (failed, live):
            put(store, part_key(export.key, 1), b"x")
            put(store, manifest_key(export.tenant_id, export.pk), b"{}")

        clean_up(store, now=NOW + 2 * DAY)

        assert keys(store) == [part_key(live.key, 1)]
        assert keys(store, "manifests") == [manifest_key(live.tenant_id, live.pk)]


def kept_of(export):
    return export.key, manifest_key(export.tenant_id, export.pk)


def grow_old(path, age):
    moment = (NOW - age).timestamp()
    os.utime(path, (moment, moment))


class TestOnSqlite:
    """One run has one database: what is for SQLite gets a run of its own."""

    def test_passes_in_a_run_of_its_own(self):
        argv = [sys.executable, "-m", "pytest", "-q", "tests/unit/test_export_ranges.py"]
        done = subprocess.run(argv, cwd=CHECKOUT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout

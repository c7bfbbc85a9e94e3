"""`manage.py verify_export`: a file is proved, and every damage to it is named."""

import json
import uuid
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from exports.datasets import get_dataset
from exports.formats import get_format
from exports.models import Export
from exports.object_store import store_from_url
from exports.operations import request_export, write_file_facts
from exports.parts.keys import manifest_key
from exports.parts.manifest import read_manifest, write_manifest
from exports.parts.removing import remove_parts
from exports.states import ExportStatus
from jobs.testing import run_enqueued_jobs
from project.workspace.models import Item, Project
from tests.exporting_parts import content, make_store, put, put_together, s3_endpoint, write_all
from tests.hostile import HOSTILE_TEXTS
from tests.people import make_tenant

pytestmark = pytest.mark.django_db

NOW = timezone.now()


@pytest.fixture(scope="module")
def endpoint():
    with s3_endpoint() as endpoint:
        yield endpoint


@pytest.fixture(params=["file", "s3"])
def store(request, tmp_path, endpoint, settings):
    _, settings.EXPORTS_STORAGE_URL = make_store(request.param, tmp_path / "exports", endpoint)
    return store_from_url(settings.EXPORTS_STORAGE_URL)


@pytest.fixture
def project():
    return Project.objects.create(tenant=make_tenant(), name="Autumn")


@pytest.fixture
def add_items(project):
    def add_items(texts):
        return Item.objects.bulk_create(
            Item(project=project, tenant=project.tenant, sku=f"S{number}", description=text)
            for number, text in enumerate(texts)
        )

    return add_items


@pytest.fixture
def export_in_parts(store, project):
    """Return a function that makes a completed export of a few parts, with its manifest."""

    def export_in_parts(format="csv", rows_per_part=2):
        export = Export.objects.create(
            tenant=project.tenant, dataset="items", format=format, status=ExportStatus.PROCESSING
        )
        facts = write_all(store, export, rows_per_part=rows_per_part)
        file = put_together(store, export, facts)
        write_manifest(store, export, get_dataset("items").names, facts, file, attempt=1)
        write_file_facts(export, file)
        Export.objects.update(status=ExportStatus.COMPLETED, settled_at=NOW)
        remove_parts(store, export.tenant_id, export.pk)
        export.refresh_from_db()
        return export

    return export_in_parts


@pytest.fixture
def export(add_items, export_in_parts):
    add_items(["a", "b", "c", "d", "e"])
    return export_in_parts()


@pytest.fixture
def export_of_one_job(add_items, store, project):
    add_items(["two\nlines", "b"])
    asked = {"tenant_id": project.tenant_id, "user_id": None, "dataset": "items", "format": "csv"}
    export = request_export(**asked)
    run_enqueued_jobs()
    export.refresh_from_db()
    return export


def verify(export_id):
    """Return what the command prints."""
    out = StringIO()
    call_command("verify_export", str(export_id), stdout=out)
    return out.getvalue().strip()


def differences(export):
    """Return the lines of a command that ends with exit code 1."""
    out = StringIO()
    with pytest.raises(CommandError, match=f"{export.pk} is not what was written") as refused:
        call_command("verify_export", str(export.pk), stdout=out)
    assert refused.value.returncode == 1
    return out.getvalue().splitlines()


def refusal(export_id):
    with pytest.raises(CommandError) as refused:
        verify(export_id)
    assert refused.value.returncode == 1
    return str(refused.value)


class TestAFileThatIsWhole:
    def test_is_proved_against_its_manifest(self, export):
        said = f"{export.key}: 5 rows, {export.size_bytes} bytes, as its manifest of 3 parts says."
        assert verify(export.pk) == said

    def test_is_proved_against_its_row_if_it_has_no_manifest(self, export_of_one_job):
        assert verify(export_of_one_job.pk).endswith("bytes, as its row says.")

    @pytest.mark.parametrize("format", ["csv", "json"])
    @pytest.mark.parametrize("texts", [[], ["one"], HOSTILE_TEXTS], ids=len)
    def test_is_proved_whatever_it_holds(self, add_items, export_in_parts, format, texts):
        add_items(texts)
        export = export_in_parts(format, rows_per_part=7)
        assert f": {len(texts)} rows," in verify(export.pk)

    def test_is_told_to_programs(self, export):
        out = StringIO()
        call_command("verify_export", str(export.pk), "--json", stdout=out)
        assert json.loads(out.getvalue()) == {
            "export_id": str(export.pk),
            "holds": True,
            "found": {"row_count": 5, "size_bytes": export.size_bytes, "sha256": export.sha256},
            "parts": 3,
            "differences": [],
        }


class TestAFileThatWasChanged:
    def damage(self, store, key, change):
        put(store, key, change(content(store, key)))

    def test_in_one_byte_names_the_part(self, store, export):
        second = read_manifest(store, export).parts[1]

        def change(data):
            middle = second.first_byte + second.size_bytes // 2
            # Of a letter or digit: a quote or a line feed would change the number of rows as well.
            place = next(at for at in range(middle, len(data)) if data[at : at + 1].isalnum())
            return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]

        self.damage(store, export.key, change)

        whole, part = differences(export)
        end = second.first_byte + second.size_bytes
        assert whole.startswith("SHA-256: the file has ")
        assert part.startswith(f"part 2 (bytes {second.first_byte} to {end}): ")

    def test_in_its_header_names_no_part(self, store, export):
        self.damage(store, export.key, lambda data: b"ID" + data[2:])
        [whole] = differences(export)
        assert whole.startswith("SHA-256: ")

    def test_by_being_cut_off_names_all_that_is_missing(self, store, export):
        second = read_manifest(store, export).parts[1]
        self.damage(store, export.key, lambda data: data[: second.first_byte + 3])
        lines = differences(export)
        assert [line.split(" ")[0] for line in lines] == [
            "bytes:", "SHA-256:", "rows:", "part", "part",
        ]  # fmt: skip
        assert [line[:6] for line in lines[3:]] == ["part 2", "part 3"]

    def test_by_a_row_too_many_is_seen(self, store, export):
        self.damage(store, export.key, lambda data: data + b"x\n")
        lines = differences(export)
        assert lines[0] == f"bytes: the file has {export.size_bytes + 2}, the manifest says " + str(
            export.size_bytes
        )
        assert lines[2] == "rows: the file has 6, the manifest says 5"

    def test_by_being_emptied_is_seen(self, store, export):
        self.damage(store, export.key, lambda data: b"")
        assert "rows: the file has 0, the manifest says 5" in differences(export)

    def test_is_seen_without_a_manifest_too(self, store, export_of_one_job):
        self.damage(store, export_of_one_job.key, lambda data: data.replace(b"two", b"six"))
        [line] = differences(export_of_one_job)
        assert line.startswith("SHA-256: the file has ")
        assert line.endswith(f"the export says {export_of_one_job.sha256}")

    def test_is_told_to_programs(self, store, export):
        self.damage(store, export.key, lambda data: data + b"x\n")
        out = StringIO()
        with pytest.raises(CommandError):
            call_command("verify_export", str(export.pk), "--json", stdout=out)
        said = json.loads(out.getvalue())
        assert not said["holds"]
        assert len(said["differences"]) == 3


class TestAManifestThatWasChanged:
    def change(self, store, export, **fields):
        key = manifest_key(export.tenant_id, export.pk)
        manifest = json.loads(content(store, key)) | fields
        put(store, key, json.dumps(manifest).encode())

    def test_is_seen_in_its_numbers(self, store, export):
        self.change(store, export, rows=7)
        assert differences(export) == [
            "rows: the file has 5, the manifest says 7",
            "rows: the parts have 5, the manifest says 7",
            "rows: the manifest has 7, the export says 5",
        ]

    def move_last_part(self, store, export, *, by):
        parts = [part.model_dump() for part in read_manifest(store, export).parts]
        parts[2]["first_byte"] += by
        self.change(store, export, parts=parts)

    def test_is_seen_in_its_parts(self, store, export):
        self.move_last_part(store, export, by=5)
        [line] = differences(export)
        assert line.startswith("part 3 ")

    def test_is_refused_when_its_parts_overlap(self, store, export):
        self.move_last_part(store, export, by=-5)
        assert "is no manifest" in refusal(export.pk)

    def test_is_refused_when_it_is_none(self, store, export):
        put(store, manifest_key(export.tenant_id, export.pk), b"nothing")
        assert "is no manifest" in refusal(export.pk)


class TestWhatCannotBeProved:
    def test_is_an_export_that_is_not_there(self, store):
        unknown = uuid.uuid4()
        assert refusal(unknown) == f"There is no export {unknown}."

    def test_is_what_is_no_id(self):
        with pytest.raises(CommandError, match="invalid UUID value: 'mine'"):
            verify("mine")

    @pytest.mark.parametrize("status", ["queued", "processing", "failed", "cancelled"])
    def test_is_an_export_that_has_no_file(self, export, status):
        Export.objects.update(status=status)
        assert refusal(export.pk) == (
            f"Export {export.pk} is {status}; only a completed one has a file."
        )

    def test_is_a_file_that_is_missing(self, store, export):
        store.delete(export.key)
        assert refusal(export.pk).startswith(f"The store holds no {export.key}.")


class TestCountRows:
    """Rows are counted in the bytes, wherever a block of them ends."""

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
    @pytest.mark.parametrize("format", ["csv", "json"])
    def test_is_right_for_blocks_of_any_size(self, store, add_items, export_in_parts, format, size):
        texts = [text for text in HOSTILE_TEXTS if len(text) < 1000]
        add_items(texts)
        data = content(store, export_in_parts(format, rows_per_part=100).key)
        blocks = (data[start:][:size] for start in range(0, len(data), size))
        assert get_format(format).count_rows(blocks) == len(texts)

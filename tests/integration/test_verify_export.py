"""`manage.py verify_export`: a file is proved, and every damage to it is named."""

import json
import uuid
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from exports.datasets import get_dataset
from exports.formats import FORMATS, get_format
from exports.models import Export
from exports.object_store import store_from_url
from exports.operations import request_export, write_file_facts
from exports.parting import write_manifest_sha256
from exports.parts.keys import manifest_key
from exports.parts.manifest import read_manifest, write_manifest
from exports.parts.removing import remove_parts
from exports.parts.verifying import START_BYTES
from exports.parts.version import CODE_VERSION
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
        names = get_dataset("items").names
        sha256 = write_manifest(store, export, names, facts, file, attempt=1)
        write_file_facts(export, file)
        write_manifest_sha256(export, sha256)
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
    with pytest.raises(CommandError, match=f"of export {export.pk} is not what was") as refused:
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
        assert verify(export.pk) == (
            f"{export.key}: 5 rows, {export.size_bytes} bytes, as its manifest of 3 parts says, "
            f"by version {CODE_VERSION}."
        )

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
            "code_version": CODE_VERSION,
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
        assert whole.startswith("sha256: the file has ")
        assert part.startswith(
            f"part 2, sha256: the file from byte {second.first_byte} to {end} has "
        )

    def test_in_its_header_names_no_part(self, store, export):
        self.damage(store, export.key, lambda data: b"ID" + data[2:])
        whole, columns = differences(export)
        assert whole.startswith("sha256: ")
        assert columns.startswith("columns: the file has ID, project_id, ")

    def test_by_being_cut_off_names_all_that_is_missing(self, store, export):
        second = read_manifest(store, export).parts[1]
        self.damage(store, export.key, lambda data: data[: second.first_byte + 3])
        lines = differences(export)
        assert [line.partition(":")[0] for line in lines] == [
            "size_bytes", "sha256", "rows", "part 2, size_bytes", "part 2, sha256",
            "part 3, size_bytes", "part 3, sha256",
        ]  # fmt: skip

    def test_by_a_row_too_many_is_seen(self, store, export):
        self.damage(store, export.key, lambda data: data + b"x\n")
        lines = differences(export)
        assert lines[
            0
        ] == f"size_bytes: the file has {export.size_bytes + 2}, the manifest says " + str(
            export.size_bytes
        )
        assert lines[2] == "rows: the file has 6, the manifest says 5"

    def test_by_being_emptied_is_seen(self, store, export):
        self.damage(store, export.key, lambda data: b"")
        assert "rows: the file has 0, the manifest says 5" in differences(export)

    def test_is_seen_without_a_manifest_too(self, store, export_of_one_job):
        self.damage(store, export_of_one_job.key, lambda data: data.replace(b"two", b"six"))
        [line] = differences(export_of_one_job)
        assert line.startswith("sha256: the file has ")
        assert line.endswith(f"the export says {export_of_one_job.sha256}")

    def test_is_told_to_programs(self, store, export):
        self.damage(store, export.key, lambda data: data + b"x\n")
        out = StringIO()
        with pytest.raises(CommandError):
            call_command("verify_export", str(export.pk), "--json", stdout=out)
        said = json.loads(out.getvalue())
        assert not said["holds"]
        assert len(said["differences"]) == 3


#: Of each field of a manifest, another value that it could have; of a part, of the second one.
OTHER_VALUES = {
    "export_id": str(uuid.uuid4()),
    "dataset": "secrets",
    "format": "json",
    "columns": ["id", "renamed"],
    "rows": 7,
    "size_bytes": 1,
    "sha256": "0" * 64,
    "parts": [],
    "consistency": "Anything goes.",
    "code_version": "9.9.9",
    "created_at": "2020-01-01T00:00:00Z",
}
OTHER_VALUES_OF_A_PART = {
    "number": 5,
    "after": None,
    "up_to": str(uuid.uuid4()),
    "rows": 3,
    "first_byte": 1_000_000,
    "size_bytes": 1,
    "sha256": "0" * 64,
}
#: No field has a value of each of these kinds.
WRONG_TYPES = [7.5, True, {"a": 1}, [[]], "", "7", -7, None]

REMOVED = object()


@pytest.mark.parametrize("store", ["file"], indirect=True)
class TestAManifestThatWasChanged:
    """Whatever single field was changed, the export is not proved, and the field is named."""

    def change(self, store, export, change):
        key = manifest_key(export.tenant_id, export.pk)
        manifest = json.loads(content(store, key))
        change(manifest)
        put(store, key, json.dumps(manifest).encode())

    def said(self, export):
        """Return all that a command says which must end with exit code 1."""
        out = StringIO()
        with pytest.raises(CommandError) as refused:
            call_command("verify_export", str(export.pk), stdout=out)
        assert refused.value.returncode == 1
        return f"{out.getvalue()}{refused.value}"

    def assert_seen(self, store, export, field, value, *, part=None):
        def change(manifest):
            fields = manifest if part is None else manifest["parts"][part]
            assert value is REMOVED or fields.get(field, REMOVED) != value
            fields.pop(field, None)
            if value is not REMOVED:
                fields[field] = value

        self.change(store, export, change)
        assert field in self.said(export)

    @pytest.mark.parametrize("field", OTHER_VALUES)
    def test_to_another_value_is_seen(self, store, export, field):
        self.assert_seen(store, export, field, OTHER_VALUES[field])

    @pytest.mark.parametrize("part", [0, 1, 2])
    @pytest.mark.parametrize("field", OTHER_VALUES_OF_A_PART)
    def test_in_a_part_to_another_value_is_seen(self, store, export, field, part):
        if (field, part) == ("after", 0):  # Which has none.
            self.assert_seen(store, export, field, str(uuid.uuid4()), part=part)
        else:
            self.assert_seen(store, export, field, OTHER_VALUES_OF_A_PART[field], part=part)

    @pytest.mark.parametrize("field", [*OTHER_VALUES, "added"])
    def test_to_another_type_is_seen(self, store, export, field):
        for value in WRONG_TYPES:
            self.assert_seen(store, export, field, value)

    @pytest.mark.parametrize("field", [*OTHER_VALUES_OF_A_PART, "added"])
    def test_in_a_part_to_another_type_is_seen(self, store, export, field):
        for value in WRONG_TYPES:
            self.assert_seen(store, export, field, value, part=1)

    @pytest.mark.parametrize("field", OTHER_VALUES)
    def test_by_its_removal_is_seen(self, store, export, field):
        self.assert_seen(store, export, field, REMOVED)

    @pytest.mark.parametrize("field", OTHER_VALUES_OF_A_PART)
    def test_in_a_part_by_its_removal_is_seen(self, store, export, field):
        self.assert_seen(store, export, field, REMOVED, part=1)

    def test_has_all_these_fields_and_no_more(self, store, export):
        def look(manifest):
            assert manifest.keys() == OTHER_VALUES.keys()
            assert all(each.keys() == OTHER_VALUES_OF_A_PART.keys() for each in manifest["parts"])

        self.change(store, export, look)

    def test_in_its_order_of_parts_is_seen(self, store, export):
        self.change(store, export, lambda manifest: manifest["parts"].reverse())
        assert "first_byte" in self.said(export)

    def test_in_two_fields_that_agree_is_seen_too(self, store, export):
        def move_a_row(manifest):
            manifest["parts"][0]["rows"] += 1
            manifest["parts"][1]["rows"] -= 1

        self.change(store, export, move_a_row)
        assert "or its layout" in self.said(export)

    def test_says_what_it_says_and_what_is_so(self, store, export):
        self.change(store, export, lambda manifest: manifest.update(rows=7, dataset="a\n\x1bb"))
        *lines, seal, where = differences(export)
        assert lines == [
            "rows: the file has 5, the manifest says 7",
            "rows: the sum of the parts has 5, the manifest says 7",
            "dataset: the manifest has 'a\\n\\x1bb', the export says items",
            "rows: the manifest has 7, the export says 5",
        ]
        assert seal.endswith(f", the export says {export.manifest_sha256}")
        assert where.startswith("If no other line names what was changed")

    def test_says_little_of_a_value_that_is_long(self, store, export):
        self.change(store, export, lambda manifest: manifest.update(dataset="x" * 10_000))
        assert len(self.said(export)) < 2_000

    def test_by_a_field_of_any_name_is_told_on_one_short_line(self, store, export):
        self.change(store, export, lambda manifest: manifest.update({"\x1b[2J\n": 1}))
        assert refusal(export.pk).isprintable()
        self.change(store, export, lambda manifest: manifest.update({"x" * 10_000: 1}))
        assert len(refusal(export.pk)) < 2_000

    def test_is_refused_when_it_is_none(self, store, export):
        put(store, manifest_key(export.tenant_id, export.pk), b"nothing")
        assert "is no manifest" in refusal(export.pk)

    def test_by_its_deletion_is_seen(self, store, export):
        key = manifest_key(export.tenant_id, export.pk)
        store.delete(key)
        assert differences(export) == [
            f"manifest: the store has no {key}, and the export was made in parts"
        ]


class TestColumns:
    """They are read from the file itself."""

    @pytest.fixture
    def rename(self, store):
        """Rename a column in the manifest, and forget what the manifest's own sum was."""

        def rename(export):
            key = manifest_key(export.tenant_id, export.pk)
            manifest = json.loads(content(store, key))
            manifest["columns"][1] = "renamed"
            put(store, key, json.dumps(manifest).encode())
            Export.objects.update(manifest_sha256="")

        return rename

    @pytest.mark.parametrize("format", ["csv", "json"])
    @pytest.mark.parametrize("text", ["plain", HOSTILE_TEXTS[-1], '{"[\n,'])
    def test_are_compared_with_those_of_the_manifest(
        self, add_items, export_in_parts, rename, format, text
    ):
        add_items([text, "b"])
        export = export_in_parts(format, rows_per_part=1)
        rename(export)
        [line] = differences(export)
        assert line.startswith("columns: the file has id, project_id, ")

    @pytest.mark.parametrize("texts", [[], ["x" * 2 * START_BYTES]], ids=["no row", "a long row"])
    def test_of_a_file_that_names_none_are_what_the_manifests_sum_protects(
        self, store, add_items, export_in_parts, rename, texts
    ):
        add_items(texts)
        export = export_in_parts("json")
        assert "says, by version" in verify(export.pk)
        rename(export)
        Export.objects.update(manifest_sha256=export.manifest_sha256)
        [_, where] = differences(export)
        assert "columns" in where

    def test_may_look_like_formulas(self):
        names = ["=1+1", "'quoted", 'a "b", c', "plain", "é"]
        for writer in FORMATS.values():
            line = writer.template(names) % tuple("1" for _ in names)
            start = writer.head(names) + line.encode()
            assert writer.names_in(start) == names

    @pytest.mark.parametrize(
        "start",
        [b"", b"id", b"\xff\n", b"[\n", b"[\n]\n", b"[\n1\n]\n", b"[\n{\n", b'"' + b"x" * 200_000]
        + [b"[\n" + b"[" * 100_000 + b"\n", b"\n\n\n", b'[\n{"a":' + b"9" * 9_000 + b"}\n]\n"],
    )  # fmt: skip
    def test_of_any_bytes_are_read_without_an_error(self, start):
        for writer in FORMATS.values():
            names = writer.names_in(start)
            assert names is None or all(isinstance(name, str) for name in names)


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

"""What a file holds is what the rows hold, from every database and in every format."""

import csv
import io
import json
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection, connections, transaction
from django.db.models import F, TextField, Value
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exports.datasets import get_dataset
from exports.formats import framed, get_format
from exports.formats.fetching import fetched_lines
from exports.formats.safe_text import safe_text, safe_text_sql
from exports.streams import stream
from project.accounts.models import Tenant
from project.workspace.models import Item, Project
from tests.harness.waiting import wait_for
from tests.hostile import FORMULA_CASES, HOSTILE_TEXTS
from tests.people import make_tenant

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sqlite"])

SOURCES = ["copy", "cursor", "sqlite"]
MOMENT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.fixture
def project():
    return Project.objects.create(tenant=make_tenant(), name="Autumn")


@pytest.fixture(scope="module", autouse=True)
def second_database(django_db_setup, tmp_path_factory):
    """Let Django know a second database, until the module ends."""
    connections.settings["sqlite"] = connections.settings["default"] | {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": tmp_path_factory.mktemp("second") / "items.sqlite3",
        "OPTIONS": {},
    }
    yield
    connections["sqlite"].close()
    del connections["sqlite"]
    del connections.settings["sqlite"]


@pytest.fixture
def sqlite(project):
    """A second database that holds the same tables."""
    models = (Tenant, Project, Item)
    with connections["sqlite"].schema_editor() as editor:
        for model in models:
            editor.create_model(model)
    for row in (project.tenant, project):
        type(row).objects.using("sqlite").bulk_create([row])
    for using in ("default", "sqlite"):
        same_times(Project.objects.using(using))
    yield "sqlite"
    with connections["sqlite"].schema_editor() as editor:
        for model in reversed(models):
            editor.delete_model(model)


@pytest.fixture
def store(project, sqlite):
    """Return a function that stores items in both databases."""

    def store_items(rows):
        items = [
            Item(**{"project": project, "tenant": project.tenant, "sku": f"S{number}"} | row)
            for number, row in enumerate(rows)
        ]
        for using in ("default", sqlite):
            Item.objects.using(using).bulk_create(items)
            same_times(Item.objects.using(using))
        return items

    return store_items


def same_times(rows):
    """Make the databases agree on `updated_at`, which sets itself."""
    rows.update(updated_at=F("created_at"))


def exported(source, tenant, name, dataset="items"):
    """Return the file that a source makes."""
    dataset, writer = get_dataset(dataset), get_format(name)
    if source == "copy":
        return b"".join(block.data for block in stream(dataset, tenant.pk, writer))
    if source == "cursor":
        with transaction.atomic():
            return b"".join(block.data for block in stream(dataset, tenant.pk, writer))
    rows = dataset.rows(tenant.pk).using("sqlite")
    columns, names = dataset.kinds(), dataset.names
    lines = fetched_lines(rows, columns, names, writer, connections["sqlite"])
    return b"".join(block.data for block in framed(writer, lines, names))


def read_csv(data):
    csv.field_size_limit(1_000_000)  # Python's own limit is 128 KiB.
    return list(csv.DictReader(io.StringIO(data.decode(), newline=""), strict=True))


def read_json(data):
    def refuse(word):
        raise ValueError(f"{word} is not JSON")

    return json.loads(data.decode(), parse_constant=refuse, parse_float=Decimal)


def without_apostrophe(text):
    return text.removeprefix("'")


def in_order(items):
    return sorted(items, key=lambda item: item.pk)


class TestCsv:
    @pytest.mark.parametrize("source", SOURCES)
    def test_gives_back_every_value(self, store, project, source):
        items = store(
            {"name": text[:200], "description": text, "tags": [text]} for text in HOSTILE_TEXTS
        )
        rows = read_csv(exported(source, project.tenant, "csv"))
        assert len(rows) == len(items)
        for row, item in zip(rows, in_order(items), strict=True):
            assert row["id"] == str(item.pk)
            assert row["project_id"] == str(project.pk)
            assert without_apostrophe(row["sku"]) == item.sku
            assert without_apostrophe(row["name"]) == item.name
            assert without_apostrophe(row["description"]) == item.description
            assert json.loads(without_apostrophe(row["tags"])) == item.tags

    @pytest.mark.parametrize("source", SOURCES)
    def test_leaves_typed_values_as_they_are(self, store, project, source):
        store([{"quantity": -5, "price": Decimal("-0.50"), "created_at": MOMENT}])
        [row] = read_csv(exported(source, project.tenant, "csv"))
        assert (row["quantity"], row["price"]) == ("-5", "-0.50")
        assert row["created_at"] == "2026-02-03 04:05:06+00"
        assert datetime.fromisoformat(row["created_at"]) == MOMENT

    @pytest.mark.parametrize("source", SOURCES)
    def test_tells_null_from_the_empty_text(self, store, project, source):
        store([{"description": None, "name": ""}])
        line = exported(source, project.tenant, "csv").decode().splitlines()[1]
        assert ',"",,0,' in line  # The name is empty, the description is not there.

    @pytest.mark.parametrize("source", SOURCES)
    def test_of_no_rows_is_the_header(self, store, project, source):
        header = b"id,project_id,sku,name,description,quantity,price,tags,created_at,updated_at\n"
        assert exported(source, project.tenant, "csv") == header


class TestJson:
    @pytest.mark.parametrize("source", SOURCES)
    def test_gives_back_every_value(self, store, project, source):
        items = store(
            {
                "name": text[:200],
                "description": text if number % 7 else None,
                "quantity": number - 3,
                "price": Decimal(number).scaleb(-2),
                "tags": {text[:50]: [text, None, True, 1, {"b": "", "aa": {}, "a": []}]},
                "created_at": MOMENT + timedelta(microseconds=number * 1000),
            }
            for number, text in enumerate(HOSTILE_TEXTS)
        )
        rows = read_json(exported(source, project.tenant, "json"))
        assert rows == [
            {
                "id": str(item.pk),
                "project_id": str(project.pk),
                "sku": item.sku,
                "name": item.name,
                "description": item.description,
                "quantity": item.quantity,
                "price": item.price,
                "tags": item.tags,
                "created_at": rows[place]["created_at"],
                "updated_at": rows[place]["created_at"],
            }
            for place, item in enumerate(in_order(items))
        ]
        moments = [datetime.fromisoformat(row["created_at"]) for row in rows]
        assert moments == [item.created_at for item in in_order(items)]

    @pytest.mark.parametrize("source", SOURCES)
    def test_tells_null_from_the_empty_text(self, store, project, source):
        store([{"description": None}, {"description": ""}])
        rows = read_json(exported(source, project.tenant, "json"))
        assert {row["description"] for row in rows} == {None, ""}

    @pytest.mark.parametrize("source", SOURCES)
    def test_has_one_object_per_line(self, store, project, source):
        store([{"name": "two\nlines"}, {"name": "one"}])
        lines = exported(source, project.tenant, "json").decode().split("\n")
        assert (lines[0], lines[-2], lines[-1]) == ("[", "]", "")
        assert [json.loads(line.rstrip(","))["sku"] for line in lines[1:3]] == ["S0", "S1"]

    @pytest.mark.parametrize("source", SOURCES)
    def test_of_no_rows_is_an_empty_array(self, store, project, source):
        assert read_json(exported(source, project.tenant, "json")) == []


class TestSources:
    @pytest.mark.parametrize("name", ["csv", "json"])
    @pytest.mark.parametrize("dataset", ["items", "projects"])
    def test_give_the_same_bytes(self, store, project, name, dataset):
        store(
            {
                "name": text[:200],
                "description": text,
                "price": Decimal("12345678.90"),
                "tags": {"long key": text[:99], "k": [1, -2, 3.5, 1.0, None, False]},
                "created_at": MOMENT + timedelta(microseconds=123_000),
            }
            for text in HOSTILE_TEXTS
        )
        copied, fetched, from_sqlite = (
            exported(source, project.tenant, name, dataset) for source in SOURCES
        )
        assert copied == fetched == from_sqlite

    @pytest.mark.parametrize("source", SOURCES)
    @pytest.mark.parametrize("name", ["csv", "json"])
    def test_give_a_tenant_its_own_rows_only(self, store, project, source, name):
        store([{"sku": "OURS"}])
        stranger = Tenant(pk=uuid.uuid4())
        assert b"OURS" in exported(source, project.tenant, name)
        assert b"OURS" not in exported(source, stranger, name)

    @pytest.mark.parametrize("name", ["csv", "json"])
    def test_come_in_blocks_that_count_their_rows(self, store, project, name):
        store({"description": "x" * 1000} for _ in range(3000))
        blocks = list(stream(get_dataset("items"), project.tenant.pk, get_format(name)))
        assert sum(block.rows for block in blocks) == 3000
        assert max(len(block.data) for block in blocks) < 600_000

    def test_let_the_caller_write_between_two_blocks(self, store, project):
        store({"description": "x" * 1000} for _ in range(3000))
        blocks = stream(get_dataset("items"), project.tenant.pk, get_format("csv"))
        next(blocks)  # The header.
        next(blocks)
        with transaction.atomic():
            Item.objects.all().delete()
        assert b"".join(block.data for block in blocks).endswith(b"+00\n")

    def test_end_their_connection_when_the_caller_stops_early(self, store, project):
        store({"description": "x" * 1000} for _ in range(3000))
        blocks = stream(get_dataset("items"), project.tenant.pk, get_format("csv"))
        next(blocks)
        next(blocks)
        assert open_connections() == 1
        blocks.close()
        wait_for(lambda: open_connections() == 0, 30, "the server to notice")

    def test_do_not_depend_on_how_the_server_prints_values(self, store, project):
        store([{"created_at": MOMENT}])
        with connection.cursor() as cursor:
            name = connection.ops.quote_name(connection.settings_dict["NAME"])
            cursor.execute(f"ALTER DATABASE {name} SET datestyle = 'German'")
            try:
                data = exported("copy", project.tenant, "csv")
            finally:
                cursor.execute(f"ALTER DATABASE {name} RESET datestyle")
        assert b"2026-02-03 04:05:06+00" in data


def open_connections():
    """Count the other connections that this process has to the database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND query LIKE 'COPY%'"
        )
        return cursor.fetchone()[0]


class TestSafeText:
    @pytest.mark.parametrize(("text", "shown"), FORMULA_CASES)
    def test_is_one_rule_in_python_and_sql(self, text, shown):
        make_tenant()
        assert safe_text(text) == in_sql(text) == shown
        assert shown.removeprefix("'") == text or text.startswith("'")

    @settings(
        max_examples=200,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
    def test_is_one_rule_for_any_text(self, text):
        assert safe_text(text) == in_sql(text)
        assert safe_text(text).removeprefix("'") == text or safe_text(text) == text


def in_sql(text):
    Tenant.objects.get_or_create(slug="acme", defaults={"name": "Acme"})
    shown = safe_text_sql(Value(text, output_field=TextField()))
    return Tenant.objects.annotate(shown=shown).values_list("shown", flat=True).first()

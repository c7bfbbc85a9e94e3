"""Every value of every row, through the whole product and back: hostile ones included."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from tests.harness import exporting
from tests.harness.client import Client
from tests.harness.system import System

#: What has broken exports before: CSV's and JSON's own signs, formulas, controls, all of Unicode.
HOSTILE = (
    "", " ", "plain", "a,b", 'say "so"', '"', '""', "line\nfeed", "carriage\rreturn", "both\r\n",
    "\n", "\r", "\t", "=1+1", "=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1",
    "'", "''", "'=1", "'plain", "＝1", "＋1", "－1", "＠1", "\\", "\\N", "\\.", "\\\\n", "\\u0041",
    "NULL", "null", "None", "true", "NaN", "0x1F", "1e5", "007", "1,5", " leading", "trailing ",
    "é", "e\u0301", "ß", "Ж", "日本語", "שלום", "\u202eabc", "🎉", "👩‍👩‍👧", "\U0010ffff", "\ufeff",
    "\u2028", "\u2029", "\x01", "\x02", "\x08", "\x1b[31m", "\x7f", "\x85", "\xa0", "</script>",
    "a;b", "a\tb", "{}", "[]", '{"a": "b"}', "%s", "%", "%%", "$1", "x" * 199,
)  # fmt: skip
TAGS: tuple[Any, ...] = (
    [], {}, [1, 2.5, -0.001, 10**20, 1e-7, True, None], ["=1", "a,b", '"', "\n", "\u2028", "🎉"],
    {"b": 1, "a": {"deep": ["=x", {"": ""}]}}, "=text", "", 0, -1, None, [[[]]], "'", "\\",
)  # fmt: skip
COLUMNS = ("id", "project_id", "sku", "name", "description", "quantity", "price", "tags",
           "created_at", "updated_at")  # fmt: skip
RANDOM_ROWS = 500

INSERT = """
    INSERT INTO workspace_item (id, tenant_id, project_id, sku, name, description, quantity, price,
                                tags, created_at, updated_at)
    VALUES (gen_random_uuid(), %s, %s, %s, %s, %s, %s, %s, %s, %s, now())"""


@pytest.fixture(scope="module")
def system(shared_system: System) -> System:
    add_hostile_items(shared_system)
    shared_system.relay()
    shared_system.worker()
    return shared_system


@pytest.fixture(scope="module")
def client(system: System) -> Client:
    return system.web().client(system.people.acme.token)


@pytest.fixture(scope="module")
def stored(system: System) -> list[dict[str, Any]]:
    """The rows as PostgreSQL has them, with JSON and decimals exact."""
    query = f"SELECT {', '.join(COLUMNS)} FROM workspace_item WHERE tenant_id = %s ORDER BY id"
    with psycopg.connect(system.database_url, row_factory=dict_row) as connection:
        psycopg.types.json.set_json_loads(exact_json, connection)
        return connection.execute(query.encode(), [system.people.acme.id]).fetchall()


class TestCsv:
    def test_gives_back_every_value_of_every_row(self, client, stored):
        text = export_text(client, "csv")
        reader = csv.DictReader(io.StringIO(text, newline=""))
        rows = [{name: READ_CSV[name](row[name]) for name in COLUMNS} for row in reader]
        assert reader.fieldnames == list(COLUMNS)
        # CSV readers can't tell NULL from the empty text; JSON tells them apart.
        expected = [{**row, "description": row["description"] or ""} for row in stored]
        assert_same(rows, expected)

    def test_holds_no_cell_that_a_spreadsheet_would_run(self, client):
        text = export_text(client, "csv")
        cells = [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]
        risky = [cell for cell in cells if cell and cell[0] in "=+-@\t\r\n＝＋－＠"]
        assert [cell for cell in risky if not is_number(cell)] == []


class TestJson:
    def test_gives_back_every_value_of_every_row(self, client, stored):
        rows = exact_json(export_text(client, "json"))
        assert all(tuple(row) == COLUMNS for row in rows)
        assert_same([{name: READ_JSON[name](row[name]) for name in row} for row in rows], stored)

    def test_tells_null_from_the_empty_text(self, client, stored):
        rows = exact_json(export_text(client, "json"))
        descriptions = [row["description"] for row in rows]
        assert descriptions.count(None) == sum(row["description"] is None for row in stored) > 0
        assert descriptions.count("") == sum(row["description"] == "" for row in stored) > 0


def export_text(client: Client, format: str) -> str:
    accepted = exporting.request_export(client, format=format)
    export = exporting.wait_for_export(client, accepted["export_id"])
    content = exporting.download(client, export)
    assert (export["size_bytes"], export["sha256"]) == (len(content), exporting.digest(content))
    return content.decode()


def exact_json(text: str | bytes) -> Any:
    """Parse JSON strictly: no constants it doesn't have, no key twice, decimals digit by digit."""
    return json.loads(
        text, parse_float=Decimal, parse_constant=refuse, object_pairs_hook=without_doubles
    )


def refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON.")


def without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs), f"A key twice: {pairs}"
    return dict(pairs)


def text_of(cell: str) -> str:
    """Take away one leading `'`, as the documentation tells the reader of text cells."""
    return cell.removeprefix("'")


READ_CSV: dict[str, Callable[[str], Any]] = {
    "id": UUID,
    "project_id": UUID,
    "sku": text_of,
    "name": text_of,
    "description": text_of,
    "quantity": int,
    "price": Decimal,
    "tags": lambda cell: exact_json(text_of(cell)),
    "created_at": datetime.fromisoformat,
    "updated_at": datetime.fromisoformat,
}
READ_JSON: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(COLUMNS, lambda value: value),
    **dict.fromkeys(("id", "project_id"), UUID),
    **dict.fromkeys(("created_at", "updated_at"), datetime.fromisoformat),
}


def assert_same(rows: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Compare row by row, so that a failure shows the one that differs."""
    assert len(rows) == len(expected)
    for row, wanted in zip(rows, expected, strict=True):
        assert row == wanted


def is_number(cell: str) -> bool:
    return cell.lstrip("-").replace(".", "", 1).isdigit()


def add_hostile_items(system: System) -> None:
    """Give a tenant items with every hostile text in every text column, and many at random."""
    tenant, random = UUID(system.people.acme.id), Random(20261124)
    texts = [*HOSTILE, *(random_text(random) for _ in range(RANDOM_ROWS))]
    with psycopg.connect(system.database_url) as connection:
        project = connection.execute(
            b"INSERT INTO workspace_project (id, tenant_id, name, created_at, updated_at)"
            b" VALUES (gen_random_uuid(), %s, '=HYPERLINK()', now(), now()) RETURNING id",
            [tenant],
        ).fetchone()
        assert project is not None
        rows = [
            (tenant, project[0], unique(text, number), text, random.choice([text, None, ""]),
             random.randint(-(2**31), 2**31 - 1), Decimal(random.randint(-10**12 + 1, 10**12 - 1))
             / 100, Jsonb(random.choice(TAGS)), random_moment(random))
            for number, text in enumerate(texts)
        ]  # fmt: skip
        connection.cursor().executemany(INSERT.encode(), rows)


def unique(text: str, number: int) -> str:
    """Return a SKU that begins like the text."""
    return f"{text[:40]}{number}"


def random_text(random: Random) -> str:
    """Return 0 to 60 characters of anything that PostgreSQL stores: no NUL, no surrogates."""
    ranges = [(1, 0x7F), (0x80, 0x2FFF), (0x3000, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF)]
    pick = random.choices(ranges, weights=[6, 2, 1, 1, 1], k=random.randint(0, 60))
    return "".join(chr(random.randint(*of)) for of in pick)


def random_moment(random: Random) -> datetime:
    return datetime.fromtimestamp(random.randint(0, 4_000_000_000) + random.random(), UTC)

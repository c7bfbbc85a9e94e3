"""What a client gets wrong: a problem document that names the field, and nothing lost or stored."""

import json
import uuid
from typing import Any

import pytest
import requests

from tests import people
from tests.harness import exporting
from tests.harness.client import Client
from tests.harness.processes import Web
from tests.harness.system import System

GOOD = {"format": "csv", "dataset": "items"}

#: Bodies of `POST exports` that are refused, each with the status and the field it is told by.
BAD_BODIES: dict[str, tuple[Any, int, str]] = {
    "unknown format": ({**GOOD, "format": "xlsx"}, 422, "format"),
    "unknown dataset": ({**GOOD, "dataset": "salaries"}, 422, "dataset"),
    "a number for a text": ({**GOOD, "format": 7}, 422, "format"),
    "a list for a text": ({**GOOD, "dataset": ["items"]}, 422, "dataset"),
    "null for a text": ({**GOOD, "dataset": None}, 422, "dataset"),
    "field missing": ({"format": "csv"}, 422, "dataset"),
    "unknown field": ({**GOOD, "tenant_id": str(uuid.uuid4())}, 422, "tenant_id"),
    "NUL in a text": ({**GOOD, "dataset": "items\0"}, 422, "dataset"),
    "half a surrogate pair": ({**GOOD, "dataset": "items\ud83d"}, 422, "dataset"),
    "text too long": ({**GOOD, "dataset": "x" * 101}, 422, "dataset"),
    "over 64 KiB": ({**GOOD, "dataset": "x" * 65_536}, 413, "body"),
    "an array": ([GOOD], 422, "body"),
    "a text": ("items", 422, "body"),
}
BAD_JSON = (
    b"{", b'{"format": "csv",}', b"{'format': 'csv'}", b'{"format": NaN}', b"\xff\xfe",
    b"[" * 60_000,
)  # fmt: skip


@pytest.fixture(scope="module")
def system(shared_system: System) -> System:
    return shared_system


@pytest.fixture(scope="module")
def web(system: System) -> Web:
    return system.web()


@pytest.fixture
def client(system: System, web: Web) -> Client:
    return web.client(system.people.acme.token)


@pytest.fixture(autouse=True)
def _stores_nothing(system: System):
    """Whatever is refused leaves no trace."""
    yield
    assert system.value("SELECT count(*) FROM jobs_job") == 0
    assert system.value("SELECT count(*) FROM exports_export") == 0


class TestBody:
    @pytest.mark.parametrize(("body", "status", "field"), BAD_BODIES.values(), ids=BAD_BODIES)
    def test_is_refused_by_the_name_of_its_field(self, client, body, status, field):
        assert fields_of(client.post(exporting.EXPORTS, json=body), status) == [field]

    def test_names_every_field_at_fault(self, client):
        answer = client.post(exporting.EXPORTS, json={"format": 1, "dataset": 2})
        assert sorted(fields_of(answer, 422)) == ["dataset", "format"]

    @pytest.mark.parametrize("body", BAD_JSON, ids=range(len(BAD_JSON)))
    def test_that_is_no_json_is_refused(self, client, body):
        headers = {"Content-Type": "application/json"}
        answer = client.post(exporting.EXPORTS, data=body, headers=headers)
        assert fields_of(answer, 400) == ["body"]

    def test_that_is_missing_is_asked_for(self, client):
        assert fields_of(client.post(exporting.EXPORTS), 422) == ["body"]

    @pytest.mark.parametrize("key", ["", "two words", "x" * 201, "naïve".encode()])
    def test_needs_a_key_that_can_be_one(self, client, key):
        answer = client.post(exporting.EXPORTS, json=GOOD, headers={"Idempotency-Key": key})
        assert fields_of(answer, 422) == ["Idempotency-Key"]


class TestIds:
    @pytest.mark.parametrize("end", ["", "/download"])
    def test_that_are_unknown_foreign_or_none_look_the_same(self, system, web, client, end):
        # Given an export and a job of another tenant
        theirs = web.client(system.people.globex.token)
        accepted = exporting.request_export(theirs)
        try:
            for wrong in (accepted["export_id"], uuid.uuid4(), "not-an-id"):
                answer = client.get(f"{exporting.EXPORTS}/{wrong}{end}")
                assert fields_of(answer, 404) == ["export_id"]
            for wrong in (accepted["job_id"], uuid.uuid4(), "not-an-id"):
                assert fields_of(client.get(f"/api/v1/jobs/{wrong}"), 404) == ["job_id"]
                assert fields_of(client.post(f"/api/v1/jobs/{wrong}/cancel"), 404) == ["job_id"]
            assert exporting.see_export(theirs, accepted["export_id"])["status"] == "queued"
        finally:
            system.rows("DELETE FROM exports_export")
            system.rows("DELETE FROM jobs_job")

    @pytest.mark.parametrize(
        ("query", "field"),
        [("limit=0", "limit"), ("before=7", "before"), ("status=done", "status"), ("x=1", "x")],
    )
    def test_and_filters_are_refused_by_name(self, client, query, field):
        assert fields_of(client.get(f"{exporting.EXPORTS}?{query}"), 422) == [field]


class TestCredentials:
    @pytest.mark.parametrize(
        "header", [None, "Bearer", "Bearer nonsense", f"Bearer off_{'0' * 12}_{'x' * 43}"]
    )
    def test_that_are_missing_or_wrong_are_refused(self, web, header):
        client = web.client()
        headers = {"Authorization": header} if header else {}
        answer = client.post(exporting.EXPORTS, json=GOOD, headers=headers)
        assert fields_of(answer, 401) == ["Authorization"]
        assert answer.headers["WWW-Authenticate"] == "Bearer"

    def test_that_have_expired_are_refused(self, system, web):
        client = web.client(make_token(system))
        assert client.get(exporting.EXPORTS).status_code == 200
        system.rows(
            "UPDATE accounts_apitoken SET expires_at = now() - interval '1 second'"
            " WHERE name = 'Nightly script'"
        )
        answer = client.post(exporting.EXPORTS, json=GOOD)
        assert fields_of(answer, 401) == ["Authorization"]
        assert "expired" in answer.json()["detail"]


class TestPayload:
    def test_over_64_kib_is_refused_before_it_is_stored(self, system):
        payload = json.dumps({"label": "x" * 65_536})
        done = system.run("enqueue", "tests.add_effect", payload, check=False)
        assert done.returncode != 0
        assert "payload" in done.stderr
        assert "65536" in done.stderr

    def test_with_a_field_that_does_not_fit_is_refused_by_name(self, system):
        done = system.run("enqueue", "tests.add_effect", '{"label": 1}', check=False)
        assert done.returncode != 0
        assert "label" in done.stderr


def fields_of(answer: requests.Response, status: int) -> list[str]:
    """Return the fields that a problem document names."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    return [fault["field"] for fault in document["errors"]]


def make_token(system: System) -> str:
    """Return a token of a new member; the ones that all tests use stay as they are."""
    from project.accounts.models import Tenant

    with system.orm():
        tenant = Tenant.objects.get(pk=system.people.globex.id)
        user = people.make_member(tenant, "temp@globex.example")
        return people.make_token(tenant, user)[1]

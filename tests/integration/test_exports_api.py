"""`/api/v1/exports`: the answers that other programs rely on."""

import hashlib
import json
import os
import urllib.request
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from exports.models import Export
from exports.object_store.s3 import client_of_process
from jobs.engine import lifecycle
from jobs.models import Job
from jobs.testing import run_enqueued_jobs
from project.accounts.scopes import Scope
from project.workspace.models import Item, Project
from tests.harness.presigned import is_honoured
from tests.harness.s3 import SECRET_KEY, make_bucket, s3_server
from tests.people import PASSWORD, bearer, make_member, make_tenant, make_token

pytestmark = pytest.mark.django_db

URL = "/api/v1/exports"
ITEMS = {"format": "csv", "dataset": "items"}


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.EXPORTS_STORAGE_URL = f"file://{tmp_path / 'exports'}"


@pytest.fixture
def acme():
    tenant = make_tenant("acme")
    project = Project.objects.create(tenant=tenant, name="Autumn")
    Item.objects.create(tenant=tenant, project=project, sku="LAMP-1", name="Lamp, brass")
    return tenant


@pytest.fixture
def ann(acme):
    return make_member(acme)


@pytest.fixture
def api(client, acme, ann):
    """A program with Ann's token."""
    return program(client, acme, ann)


def program(client, tenant, user, **options):
    _, text = make_token(tenant, user, **options)

    def call(method, path="", body=None, **headers):
        content = {"data": body, "content_type": "application/json"} if body is not None else {}
        return getattr(client, method)(
            URL + path,
            **content,
            headers=bearer(text) | {k.replace("_", "-"): v for k, v in headers.items()},
        )

    return call


def requested(api, **changes):
    return api("post", body=ITEMS | changes).json()["export_id"]


def finished(api, **changes):
    export_id = requested(api, **changes)
    run_enqueued_jobs()
    return export_id


def faulty_fields(answer):
    assert answer.headers["Content-Type"] == "application/problem+json"
    return [error["field"] for error in answer.json().get("errors", ())]


class TestRequest:
    def test_is_accepted_and_says_where_to_look(self, api, ann):
        answer = api("post", body=ITEMS)
        assert answer.status_code == 202
        export = Export.objects.get()
        assert answer.json() == {
            "success": True,
            "export_id": str(export.pk),
            "job_id": str(export.job_id),
            "status": "queued",
        }
        assert answer.headers["Location"] == f"{URL}/{export.pk}"
        assert export.requested_by == ann

    def test_with_a_key_is_done_once(self, api):
        first = api("post", body=ITEMS, Idempotency_Key="nightly-1")
        again = api("post", body=ITEMS, Idempotency_Key="nightly-1")
        assert first.json() == again.json()
        assert again.headers["Location"] == first.headers["Location"]
        assert Export.objects.count() == Job.objects.count() == 1

        other = api("post", body=ITEMS | {"format": "json"}, Idempotency_Key="nightly-1")
        assert other.status_code == 409

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"format": "xml", "dataset": "items"}, "format"),
            ({"format": "csv", "dataset": "secrets"}, "dataset"),
            ({"format": "csv"}, "dataset"),
            ({"format": 7, "dataset": "items"}, "format"),
            ({"format": "csv", "dataset": None}, "dataset"),
            ({"format": "csv", "dataset": "it\0ems"}, "dataset"),
            ({"format": "c" * 101, "dataset": "items"}, "format"),
            (ITEMS | {"tenant": "other"}, "tenant"),
        ],
    )
    def test_that_is_wrong_names_the_field(self, api, body, field):
        answer = api("post", body=body)
        assert answer.status_code == 422
        assert faulty_fields(answer) == [field]
        assert not Job.objects.exists()

    def test_says_what_exists(self, api):
        answer = api("post", body=ITEMS | {"dataset": "secrets"})
        assert answer.json()["detail"].endswith("Use one of: items, projects.")

    def test_over_64_kib_is_refused(self, api):
        answer = api("post", body=ITEMS | {"dataset": "x" * 65_536})
        assert answer.status_code == 413

    def test_needs_valid_credentials(self, client, acme, ann):
        assert client.post(URL, ITEMS, content_type="application/json").status_code == 401
        expired = program(client, acme, ann, expires_at=timezone.now() - timedelta(seconds=1))
        assert expired("post", body=ITEMS).status_code == 401

    def test_needs_the_scope(self, client, acme, ann):
        reader = program(client, acme, ann, scopes=[Scope.EXPORTS_READ])
        assert reader("post", body=ITEMS).status_code == 403
        assert reader("get").status_code == 200


class TestExport:
    def test_shows_everything_once_it_is_completed(self, api, ann):
        export_id = finished(api)
        shown = api("get", f"/{export_id}").json()
        export = Export.objects.get()
        assert shown["status"] == "completed"
        assert shown["progress"] == {"rows": 1, "total": 1}
        assert (shown["row_count"], shown["attempts"], shown["error"]) == (1, 1, None)
        assert (shown["size_bytes"], shown["sha256"]) == (export.size_bytes, export.sha256)
        assert shown["requested_by"] == str(ann.pk)
        assert shown["download_url"] == f"http://testserver{URL}/{export_id}/download"
        assert all(shown[time] for time in ("created_at", "started_at", "settled_at"))

    def test_shows_that_it_waits(self, api):
        shown = api("get", f"/{requested(api)}").json()
        assert shown["status"] == "queued"
        assert shown["progress"] == {"rows": 0, "total": None}
        assert shown["sha256"] is shown["download_url"] is shown["row_count"] is None

    def test_shows_why_it_failed(self, api):
        export_id = requested(api)
        lifecycle.fail(Job.objects.get(), ValueError("no such disk"), outcome=None)
        shown = api("get", f"/{export_id}").json()
        assert (shown["status"], shown["error"]) == ("failed", "ValueError: no such disk")

    def test_is_listed_newest_first_in_pages(self, api):
        newest = [requested(api) for _ in range(3)][::-1]
        first = api("get", "?limit=2").json()
        assert [item["id"] for item in first["items"]] == newest[:2]
        second = api("get", f"?limit=2&before={first['next_before']}").json()
        assert [item["id"] for item in second["items"]] == newest[2:]
        assert second["next_before"] is None

    def test_is_listed_by_status(self, api):
        done, waiting = finished(api), requested(api)
        found = {
            status: [item["id"] for item in api("get", f"?status={status}").json()["items"]]
            for status in ("completed", "queued")
        }
        assert found == {"completed": [done], "queued": [waiting]}
        assert faulty_fields(api("get", "?status=lost")) == ["status"]
        assert faulty_fields(api("get", "?stauts=queued")) == ["stauts"]

    @pytest.mark.parametrize(
        ("method", "action"),
        [("get", ""), ("get", "/download"), ("post", "/cancel"), ("post", "/retry")],
    )
    def test_of_another_tenant_is_not_there(self, client, api, method, action):
        export_id = finished(api)
        other = make_tenant("other")
        stranger = program(client, other, make_member(other, "eve@other.example"))
        foreign = stranger(method, f"/{export_id}{action}")
        unknown = stranger(method, f"/{uuid.uuid4()}{action}")
        assert foreign.status_code == unknown.status_code == 404
        assert stranger(method, f"/not-an-id{action}").status_code == 404
        assert stranger("get").json()["items"] == []


class TestDownload:
    def test_is_the_file(self, api):
        export_id = finished(api)
        answer = api("get", f"/{export_id}/download")
        data = b"".join(answer.streaming_content)  # Reading it to the end closes it.
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="items.csv"'
        assert int(answer.headers["Content-Length"]) == len(data)
        assert hashlib.sha256(data).hexdigest() == Export.objects.get().sha256
        assert b'"Lamp, brass"' in data

    def test_works_for_a_person_who_is_signed_in(self, client, api, ann):
        export_id = finished(api, format="json")
        assert client.login(username=ann.email, password=PASSWORD)
        answer = client.get(f"{URL}/{export_id}/download")
        assert answer.headers["Content-Type"] == "application/json"
        assert json.loads(b"".join(answer.streaming_content))[0]["sku"] == "LAMP-1"

    def test_is_refused_before_it_is_there(self, api):
        answer = api("get", f"/{requested(api)}/download")
        assert answer.status_code == 409
        assert "is queued" in answer.json()["detail"]

    def test_from_s3_is_a_signed_link_that_expires(self, api, settings, monkeypatch):
        with s3_server() as endpoint:
            bucket = make_bucket(endpoint)
            for name, value in bucket.environment.items():
                monkeypatch.setenv(name, value)
            client_of_process.cache_clear()
            settings.EXPORTS_STORAGE_URL = bucket.url
            settings.EXPORTS_LINK_SECONDS = 60

            answer = api("get", f"/{finished(api)}/download")
            link = answer.headers["Location"]
            assert answer.status_code == 302
            assert is_honoured(link, secret=SECRET_KEY, now=datetime.now(UTC))
            assert not is_honoured(
                link, secret=SECRET_KEY, now=datetime.now(UTC) + timedelta(seconds=61)
            )
            with urllib.request.urlopen(link) as file:
                assert hashlib.sha256(file.read()).hexdigest() == Export.objects.get().sha256
                assert 'filename="items.csv"' in file.headers["Content-Disposition"]
            client_of_process(os.getpid()).close()
            client_of_process.cache_clear()


class TestSteering:
    def test_cancel_says_the_new_status(self, api):
        export_id = requested(api)
        answer = api("post", f"/{export_id}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        assert api("post", f"/{export_id}/cancel").status_code == 409

    def test_retry_queues_it_again(self, api):
        export_id = requested(api)
        assert api("post", f"/{export_id}/retry").status_code == 409
        api("post", f"/{export_id}/cancel")
        answer = api("post", f"/{export_id}/retry")
        assert (answer.status_code, answer.json()["status"]) == (202, "queued")
        run_enqueued_jobs()
        assert api("get", f"/{export_id}").json()["status"] == "completed"

"""`/api/v1/syncs`: the answers that other programs rely on."""

import json
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from jobs.models import Job
from jobs.testing import run_enqueued_jobs
from notifications.models import WebhookDelivery
from notifications.operations import endpoints
from project.accounts.scopes import Scope
from tests.api import faulty_fields, program, program_of_stranger
from tests.outgoing import attempt, make_endpoint, trust_loopback
from tests.people import make_member, make_tenant
from tests.webhook_receiver import Scripted

pytestmark = pytest.mark.django_db

URL = "/api/v1/syncs"
EVENT = {"event_type": "lamp.lit", "data": {"lamp": "Zoë's", "watts": [4.5, None]}}


@pytest.fixture
def api(client, acme, ann):
    """A program with Ann's token."""
    return program(client, URL, acme, ann)


@pytest.fixture
def receiver(settings, receiver):
    trust_loopback(settings)
    return receiver


@pytest.fixture
def sync(endpoint):
    return EVENT | {"endpoint_id": str(endpoint.pk)}


def requested(api, sync, **changes):
    return api("post", body=sync | changes).json()["sync_id"]


class TestRequest:
    def test_is_accepted_and_says_where_to_look(self, api, sync, acme, ann):
        answer = api("post", body=sync)
        assert answer.status_code == 202
        delivery = WebhookDelivery.objects.get()
        assert answer.json() == {
            "success": True,
            "sync_id": str(delivery.pk),
            "job_id": str(delivery.job_id),
            "status": "queued",
        }
        assert answer.headers["Location"] == f"{URL}/{delivery.pk}"
        assert (delivery.tenant_id, delivery.requested_by_id) == (acme.pk, ann.pk)

    def test_arrives_at_the_receiver(self, api, sync, receiver):
        sync_id = requested(api, sync)
        run_enqueued_jobs()
        [request] = receiver.requests
        assert request.headers["webhook-id"] == sync_id
        assert json.loads(request.body)["data"] == EVENT["data"]

    def test_with_a_key_is_done_once(self, api, sync):
        first, again = (api("post", body=sync, Idempotency_Key="lamp-1") for _ in range(2))
        assert first.json() == again.json()
        assert again.headers["Location"] == first.headers["Location"]
        assert WebhookDelivery.objects.count() == Job.objects.count() == 1
        other = api("post", body=sync | {"data": {}}, Idempotency_Key="lamp-1")
        assert (other.status_code, faulty_fields(other)) == (409, ["Idempotency-Key"])

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"endpoint_id": "first"}, "endpoint_id"),
            ({"endpoint_id": None}, "endpoint_id"),
            ({"event_type": "Lamp"}, "event_type"),
            ({"event_type": "lamp"}, "event_type"),
            ({"event_type": "*"}, "event_type"),
            ({"event_type": "a." + "b" * 99}, "event_type"),
            ({"event_type": "lamp.lit\n"}, "event_type"),
            ({"data": []}, "data"),
            ({"data": "text"}, "data"),
            ({"data": {"a": "\0"}}, "data.a"),
            ({"url": "https://other.example.com"}, "url"),
        ],
    )
    def test_that_is_wrong_names_the_field(self, api, sync, change, field):
        answer = api("post", body=sync | change)
        assert (answer.status_code, faulty_fields(answer)) == (422, [field])
        assert not Job.objects.exists()

    @pytest.mark.parametrize(("lists", "status"), [(98, 202), (99, 422), (850, 422)])
    def test_with_data_that_nobody_could_show_is_refused(self, api, sync, lists, status):
        # Given lists inside each other, in a list in an object
        answer = api("post", body=json.dumps(sync | {"data": {"a": ["here"]}}).replace(
            '"here"', "[" * lists + "]" * lists))  # fmt: skip
        assert answer.status_code == status, answer.content
        assert status == 202 or faulty_fields(answer) == ["data"]

    def test_with_too_much_data_is_refused(self, api, sync):
        # Given letters that take two bytes in the request, and six in the delivery
        answer = api("post", body=json.dumps(sync | {"data": {"a": "ü" * 12_000}},
                                             ensure_ascii=False))  # fmt: skip
        assert (answer.status_code, faulty_fields(answer)) == (413, ["data"])
        whole = api("post", body=sync | {"data": {"a": "x" * 65_536}})
        assert (whole.status_code, faulty_fields(whole)) == (413, ["body"])

    def test_to_a_disabled_endpoint_is_refused(self, api, sync, endpoint):
        endpoints.disable_endpoint(endpoint.pk, "by hand")
        answer = api("post", body=sync)
        assert (answer.status_code, answer.json()["title"]) == (409, "Endpoint disabled")

    def test_to_another_tenants_endpoint_is_as_to_none(self, api, sync, receiver):
        foreign = make_endpoint(make_tenant("other"), receiver.url)
        for endpoint_id in (foreign.pk, uuid.uuid4()):
            answer = api("post", body=sync | {"endpoint_id": str(endpoint_id)})
            assert (answer.status_code, faulty_fields(answer)) == (404, ["endpoint_id"])
        assert not Job.objects.exists()


class TestSync:
    def test_shows_everything_once_it_is_delivered(self, api, sync, receiver, endpoint, ann):
        receiver.answers = [Scripted(500, body=b"ouch"), 204]
        sync_id = requested(api, sync)
        run_enqueued_jobs()

        shown = api("get", f"/{sync_id}").json()

        history = shown.pop("history")
        assert shown.pop("created_at") < shown.pop("settled_at")
        assert shown == {
            "id": sync_id,
            "job_id": str(Job.objects.get().pk),
            "endpoint_id": str(endpoint.pk),
            "event_type": "lamp.lit",
            "status": "delivered",
            "error": None,
            "attempts": 2,
            "requested_by": str(ann.pk),
            "body": receiver.requests[0].body.decode(),
        }
        for each in history:
            assert each.pop("started_at")
            assert each.pop("latency_ms") >= 0
        assert history == [
            {"number": 1, "status_code": 500, "error": "The receiver answered 500.",
             "excerpt": "ouch"},
            {"number": 2, "status_code": 204, "error": "", "excerpt": ""},
        ]  # fmt: skip

    def test_shows_that_it_is_tried(self, api, sync, receiver):
        receiver.default = 500
        sync_id = requested(api, sync)
        attempt(WebhookDelivery.objects.get())
        shown = api("get", f"/{sync_id}").json()
        assert (shown["status"], shown["attempts"], shown["settled_at"]) == ("processing", 1, None)

    def test_shows_why_it_failed(self, api, sync, receiver):
        receiver.default = 410
        sync_id = requested(api, sync)
        run_enqueued_jobs(raise_errors=False)
        shown = api("get", f"/{sync_id}").json()
        assert shown["status"] == "failed"
        assert shown["error"].startswith("EndpointGone: The receiver answered 410 Gone")

    def test_never_shows_the_secret(self, api, sync, endpoint):
        sync_id = requested(api, sync)
        run_enqueued_jobs()
        for path in ("", f"/{sync_id}"):
            assert b"whsec_" not in api("get", path).content
            assert endpoint.secret.get_secret_value()[6:] not in api("get", path).content.decode()

    def test_is_listed_newest_first_in_pages(self, api, sync):
        newest = [requested(api, sync) for _ in range(3)][::-1]
        first = api("get", "?limit=2").json()
        assert [item["id"] for item in first["items"]] == newest[:2]
        assert "body" not in first["items"][0]
        second = api("get", f"?limit=2&before={first['next_before']}").json()
        assert [item["id"] for item in second["items"]] == newest[2:]
        assert second["next_before"] is None

    def test_is_listed_by_what_it_is(self, api, acme, sync, receiver):
        done = requested(api, sync)
        run_enqueued_jobs()
        elsewhere = make_endpoint(acme, receiver.url)
        other = requested(api, sync, endpoint_id=str(elsewhere.pk), event_type="lamp.broken")
        for query, found in {
            "status=delivered": [done],
            "status=queued": [other],
            "event_type=lamp.broken": [other],
            "event_type=lamp": [],
            f"endpoint_id={elsewhere.pk}": [other],
            f"endpoint_id={uuid.uuid4()}": [],
            f"endpoint_id={elsewhere.pk}&status=delivered": [],
        }.items():
            assert [item["id"] for item in api("get", f"?{query}").json()["items"]] == found

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("status=lost", "status"),
            ("endpoint=1", "endpoint"),
            ("endpoint_id=1", "endpoint_id"),
            ("limit=0", "limit"),
            ("limit=201", "limit"),
            ("before=yesterday", "before"),
        ],
    )
    def test_is_not_listed_by_what_can_not_be(self, api, query, field):
        answer = api("get", f"?{query}")
        assert (answer.status_code, faulty_fields(answer)) == (422, [field])


class TestSteering:
    def test_cancel_says_the_new_status(self, api, sync, receiver):
        sync_id = requested(api, sync)
        answer = api("post", f"/{sync_id}/cancel")
        assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
        again = api("post", f"/{sync_id}/cancel")
        assert (again.status_code, again.json()["title"]) == (409, "Not live")
        run_enqueued_jobs()
        assert receiver.requests == []

    def test_resend_queues_it_again(self, api, sync, receiver):
        sync_id = requested(api, sync)
        early = api("post", f"/{sync_id}/resend")
        assert (early.status_code, early.json()["title"]) == (409, "Still under way")
        run_enqueued_jobs()
        answer = api("post", f"/{sync_id}/resend")
        assert (answer.status_code, answer.json()["status"]) == (202, "queued")
        assert len(answer.json()["history"]) == 1
        run_enqueued_jobs()
        assert len(receiver.requests) == 2

    def test_resend_to_a_disabled_endpoint_is_refused(self, api, sync, endpoint):
        sync_id = requested(api, sync)
        run_enqueued_jobs()
        endpoints.disable_endpoint(endpoint.pk, "by hand")
        assert api("post", f"/{sync_id}/resend").status_code == 409


CALLS = [
    ("post", "", "webhooks:write", EVENT | {"endpoint_id": str(uuid.uuid4())}),
    ("get", "", "webhooks:read", None),
    ("get", "/{id}", "webhooks:read", None),
    ("post", "/{id}/cancel", "webhooks:write", None),
    ("post", "/{id}/resend", "webhooks:write", None),
]


@pytest.mark.parametrize(("method", "path", "scope", "body"), CALLS)
class TestAccess:
    def test_needs_valid_credentials(self, client, acme, ann, method, path, scope, body):
        path = path.format(id=uuid.uuid4())
        call = getattr(client, method)
        assert call(URL + path, body, content_type="application/json").status_code == 401
        expired = program(client, URL, acme, ann, expires_at=timezone.now() - timedelta(seconds=1))
        assert expired(method, path, body).status_code == 401

    def test_needs_the_scope(self, client, acme, ann, method, path, scope, body):
        others = [each for each in Scope.values if each != scope]
        without = program(client, URL, acme, ann, scopes=others)
        assert without(method, path.format(id=uuid.uuid4()), body).status_code == 403

    def test_is_not_for_plain_members(self, client, acme, method, path, scope, body):
        member = program(client, URL, acme, make_member(acme, "bob@acme.example"))
        assert member(method, path.format(id=uuid.uuid4()), body).status_code == 403

    def test_to_another_tenants_is_as_to_none(self, client, api, sync, method, path, scope, body):
        sync_id = requested(api, sync)
        stranger = program_of_stranger(client, URL)
        assert stranger("get").json()["items"] == []
        if "{id}" in path:
            for each in (sync_id, uuid.uuid4(), "not-an-id"):
                assert stranger(method, path.format(id=each), body).status_code == 404
        assert WebhookDelivery.objects.get().status == "queued"

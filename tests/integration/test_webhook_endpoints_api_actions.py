"""`/api/v1/webhook-endpoints`: what is done with an endpoint, and who may."""

import uuid
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from jobs.models import Job
from jobs.testing import run_enqueued_jobs
from notifications.models import WebhookDelivery, WebhookEndpoint
from project.accounts.scopes import Scope
from tests.api import faulty_fields, program, program_of_stranger
from tests.outgoing import ENDPOINT, created, make_delivery, make_endpoint, trust_loopback
from tests.people import make_member
from tests.webhook_receiver import webhook_receiver

pytestmark = pytest.mark.django_db

URL = "/api/v1/webhook-endpoints"


@pytest.fixture
def api(client, acme, ann):
    """A program with Ann's token."""
    return program(client, URL, acme, ann)


class TestRotate:
    def test_shows_the_new_secret_this_once_beside_how_long_the_old_one_counts(self, api):
        old = created(api)
        answer = api("post", f"/{old['id']}/rotate-secret")
        shown = answer.json()
        assert answer.status_code == 200
        assert shown["secret"] not in ("", old["secret"])
        assert answer.headers["Cache-Control"] == "no-store"
        until = datetime.fromisoformat(shown["previous_secret_until"]) - timezone.now()
        assert timedelta(hours=23) < until < timedelta(hours=25)
        assert shown["secret"] not in api("get", f"/{old['id']}").content.decode()

    def test_with_a_key_is_refused_for_its_answer_is_not_kept(self, api):
        old = created(api)
        answer = api("post", f"/{old['id']}/rotate-secret", Idempotency_Key="rotate-1")
        assert (answer.status_code, faulty_fields(answer)) == (422, ["Idempotency-Key"])
        assert WebhookEndpoint.objects.get().secret.get_secret_value() == old["secret"]

    def test_is_shown_until_the_old_one_counts_no_more(self, api):
        endpoint_id = created(api)["id"]
        api("post", f"/{endpoint_id}/rotate-secret")
        WebhookEndpoint.objects.update(previous_secret_until=timezone.now() - timedelta(seconds=1))
        assert api("get", f"/{endpoint_id}").json()["previous_secret_until"] is None


class TestTry:
    def test_sends_something(self, settings, api, acme, ann):
        trust_loopback(settings)
        with webhook_receiver() as receiver:
            endpoint = make_endpoint(acme, receiver.url)
            answer = api("post", f"/{endpoint.pk}/test")
            run_enqueued_jobs()
            [request] = receiver.requests
        shown = answer.json()
        assert (answer.status_code, shown["status"]) == (202, "queued")
        assert shown["event_type"] == "endpoint.tested"
        assert shown["requested_by"] == str(ann.pk)
        assert request.headers["webhook-id"] == shown["id"]
        assert WebhookDelivery.objects.get().status == "delivered"

    @pytest.mark.parametrize(("path", "body"), [("test", None), ("resend", {})])
    def test_is_refused_where_it_is_disabled(self, api, path, body):
        endpoint_id = created(api)["id"]
        api("patch", f"/{endpoint_id}", {"enabled": False})
        answer = api("post", f"/{endpoint_id}/{path}", body)
        assert (answer.status_code, answer.json()["title"]) == (409, "Endpoint disabled")
        assert not Job.objects.exists()


class TestResend:
    @pytest.fixture
    def endpoint(self, settings, acme):
        trust_loopback(settings)
        settings.NOTIFICATIONS_BREAKER_FAILURES = 100
        endpoint = make_endpoint(acme)
        make_delivery(endpoint)
        run_enqueued_jobs(raise_errors=False)
        assert WebhookDelivery.objects.get().status == "failed"
        return endpoint

    def test_says_how_many_match_and_by_which_job(self, api, endpoint):
        answer = api("post", f"/{endpoint.pk}/resend", {})
        job = Job.objects.get(type="notifications.resend_deliveries")
        assert answer.status_code == 202
        assert answer.json() == {"success": True, "job_id": str(job.pk), "matching": 1}

    def test_takes_filters(self, api, endpoint):
        filters = {
            "status": "failed", "event_type": "lamp.lit",
            "since": "2020-01-01T00:00:00Z", "until": "2020-01-02T00:00:00+02:00",
        }  # fmt: skip
        assert api("post", f"/{endpoint.pk}/resend", filters).json()["matching"] == 0
        del filters["until"]
        assert api("post", f"/{endpoint.pk}/resend", filters).json()["matching"] == 1

    def test_of_what_is_on_its_way_is_refused(self, api, endpoint):
        answer = api("post", f"/{endpoint.pk}/resend", {"status": "processing"})
        assert (answer.status_code, answer.json()["title"]) == (409, "Still under way")

    @pytest.mark.parametrize(
        ("filters", "field"),
        [
            ({"status": "lost"}, "status"),
            ({"since": "yesterday"}, "since"),
            ({"until": "2020-01-01T00:00:00"}, "until"),
            ({"event_type": "x" * 101}, "event_type"),
            ({"event_type": "Nope Nope"}, "event_type"),
            ({"event_type": ""}, "event_type"),
            ({"limit": 10}, "limit"),
        ],
    )
    def test_that_is_wrong_names_the_field(self, api, endpoint, filters, field):
        answer = api("post", f"/{endpoint.pk}/resend", filters)
        assert (answer.status_code, faulty_fields(answer)) == (422, [field])
        assert not Job.objects.filter(type="notifications.resend_deliveries").exists()


CALLS = [
    ("get", "", "webhooks:read", None),
    ("post", "", "webhooks:write", ENDPOINT),
    ("get", "/{id}", "webhooks:read", None),
    ("patch", "/{id}", "webhooks:write", {}),
    ("delete", "/{id}", "webhooks:write", None),
    ("post", "/{id}/rotate-secret", "webhooks:write", None),
    ("post", "/{id}/test", "webhooks:write", None),
    ("post", "/{id}/resend", "webhooks:write", {}),
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

    def test_to_another_tenants_is_as_to_none(self, client, api, method, path, scope, body):
        shown = created(api)
        stranger = program_of_stranger(client, URL)
        if "{id}" not in path:
            assert stranger("get").json() == []
            return
        answers = [stranger(method, path.format(id=id_), body)
                   for id_ in (shown["id"], uuid.uuid4(), "not-an-id")]  # fmt: skip
        assert {answer.status_code for answer in answers} == {404}
        assert api("get", f"/{shown['id']}").json()["previous_secret_until"] is None

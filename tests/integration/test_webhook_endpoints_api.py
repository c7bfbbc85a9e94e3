"""`/api/v1/webhook-endpoints`: the answers that other programs rely on."""

import uuid
from datetime import datetime, timedelta

import pytest
from django.utils import timezone
from standardwebhooks import Webhook

from jobs.models import IdempotentRequest
from notifications.models import WebhookDelivery, WebhookEndpoint
from notifications.operations import endpoints
from tests.api import faulty_fields, program
from tests.outgoing import ENDPOINT, created, make_delivery

pytestmark = pytest.mark.django_db

URL = "/api/v1/webhook-endpoints"


@pytest.fixture
def api(client, acme, ann):
    """A program with Ann's token."""
    return program(client, URL, acme, ann)


def without_times(shown):
    return {name: value for name, value in shown.items() if name != "created_at"}


class TestCreate:
    def test_shows_the_secret_this_once(self, api, ann):
        shown = created(api, description="Our hub")
        secret = shown.pop("secret")
        assert datetime.fromisoformat(shown["created_at"]).tzinfo
        assert without_times(shown) == {
            "id": str(WebhookEndpoint.objects.get().pk),
            "url": ENDPOINT["url"],
            "description": "Our hub",
            "event_types": ["export.completed"],
            "enabled": True,
            "disabled_reason": None,
            "failures_in_a_row": 0,
            "open_until": None,
            "previous_secret_until": None,
        }
        stored = WebhookEndpoint.objects.get()
        assert stored.secret.get_secret_value() == secret
        assert stored.created_by == ann
        assert Webhook(secret).sign("1", timezone.now(), "{}")
        for path in ("", f"/{shown['id']}"):
            assert secret not in api("get", path).content.decode()

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"url": "http://hooks.example.com"}, "url"),
            ({"url": "https://127.0.0.1/"}, "url"),
            ({"url": "https://localhost/"}, "url"),
            ({"url": "https://ann:pw@hooks.example.com/"}, "url"),
            ({"url": "https://hooks.example.com:22/"}, "url"),
            ({"url": "ftp://hooks.example.com/"}, "url"),
            ({"url": "https://hooks.example.com/" + "x" * 2_000}, "url"),
            ({"url": ""}, "url"),
            ({"url": None}, "url"),
            ({"event_types": []}, "event_types"),
            ({"event_types": ["Export"]}, "event_types"),
            ({"event_types": ["export.*"]}, "event_types"),
            ({"event_types": ["a.b"] * 51}, "event_types"),
            ({"event_types": "*"}, "event_types"),
            ({"description": "x" * 201}, "description"),
            ({"description": "a\0b"}, "description"),
            ({"description": "a\r\nb"}, "description"),
            ({"description": "a\x1bb"}, "description"),
            ({"description": "a\u2028b"}, "description"),
            ({"description": "Acme \u202ebuh"}, "description"),
            ({"secret": "whsec_mine"}, "secret"),
            ({"enabled": False}, "enabled"),
        ],
    )
    def test_that_is_wrong_names_the_field(self, api, change, field):
        answer = api("post", body=ENDPOINT | change)
        assert (answer.status_code, faulty_fields(answer)) == (422, [field])
        assert not WebhookEndpoint.objects.exists()

    def test_is_kept_by_nothing_on_its_way(self, api):
        assert api("post", body=ENDPOINT).headers["Cache-Control"] == "no-store"

    def test_keeps_each_event_type_once(self, api):
        assert created(api, event_types=["b.c", "*", "b.c"])["event_types"] == ["*", "b.c"]

    def test_with_a_key_is_refused_for_its_answer_is_not_kept(self, api):
        answer = api("post", body=ENDPOINT, Idempotency_Key="endpoint-1")
        assert (answer.status_code, faulty_fields(answer)) == (422, ["Idempotency-Key"])
        assert not WebhookEndpoint.objects.exists()
        assert not IdempotentRequest.objects.exists()

    def test_is_refused_where_there_are_as_many_as_may_be(self, api, settings):
        settings.NOTIFICATIONS_ENDPOINTS_MAX = 2
        created(api)
        created(api)
        answer = api("post", body=ENDPOINT)
        assert answer.status_code == 409
        assert answer.json()["title"] == "Too many endpoints"

    def test_over_64_kib_is_refused(self, api):
        assert api("post", body=ENDPOINT | {"description": "x" * 65_536}).status_code == 413


class TestShow:
    def test_lists_the_oldest_first_without_secrets(self, api):
        ids = [created(api)["id"] for _ in range(3)]
        shown = api("get").json()
        assert [each["id"] for each in shown] == ids
        assert "secret" not in shown[0]
        assert api("get", f"/{ids[0]}").json() == shown[0]

    def test_says_why_it_is_disabled_and_until_when_it_is_open(self, api):
        endpoint_id = created(api)["id"]
        until = timezone.now() + timedelta(minutes=1)
        endpoints.disable_endpoint(uuid.UUID(endpoint_id), "the receiver answered 410 Gone")
        WebhookEndpoint.objects.update(open_until=until, failures_in_a_row=7)
        shown = api("get", f"/{endpoint_id}").json()
        assert (shown["enabled"], shown["failures_in_a_row"]) == (False, 7)
        assert shown["disabled_reason"] == "the receiver answered 410 Gone"
        assert abs(datetime.fromisoformat(shown["open_until"]) - until) < timedelta(seconds=1)


class TestChange:
    def test_leaves_what_is_left_out(self, api):
        before = created(api, description="Old")
        answer = api("patch", f"/{before['id']}", {"description": "New"})
        after = answer.json()
        assert answer.status_code == 200
        del before["secret"]
        assert after == before | {"description": "New"}

    def test_takes_everything_that_may_change(self, api):
        endpoint_id = created(api)["id"]
        changes = {
            "url": "https://other.example.com/", "event_types": ["*"], "description": "",
            "enabled": False,
        }  # fmt: skip
        after = api("patch", f"/{endpoint_id}", changes).json()
        assert {name: after[name] for name in changes} == changes
        assert after["disabled_reason"] == "by hand"
        again = api("patch", f"/{endpoint_id}", {"enabled": True}).json()
        assert (again["enabled"], again["disabled_reason"]) == (True, None)

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"url": "https://10.0.0.1/"}, "url"),
            ({"event_types": ["nothing"]}, "event_types"),
            ({"event_types": []}, "event_types"),
            ({"enabled": "perhaps"}, "enabled"),
            ({"enabled": "yes"}, "enabled"),
            ({"enabled": 1}, "enabled"),
            ({"enabled": None}, "enabled"),
            ({"url": None}, "url"),
            ({"event_types": None}, "event_types"),
            ({"description": None}, "description"),
            ({"description": "Acme \u202ebuh"}, "description"),
            ({"failures_in_a_row": 0}, "failures_in_a_row"),
        ],
    )
    def test_that_is_wrong_names_the_field(self, api, change, field):
        endpoint_id = created(api)["id"]
        before = api("get", f"/{endpoint_id}").json()
        answer = api("patch", f"/{endpoint_id}", {"event_types": ["*"]} | change)
        assert (answer.status_code, faulty_fields(answer)) == (422, [field])
        assert api("get", f"/{endpoint_id}").json() == before


class TestDelete:
    def test_takes_its_deliveries(self, api):
        endpoint_id = created(api)["id"]
        make_delivery(WebhookEndpoint.objects.get())
        answer = api("delete", f"/{endpoint_id}")
        assert (answer.status_code, answer.content) == (204, b"")
        assert api("get", f"/{endpoint_id}").status_code == 404
        assert not WebhookDelivery.objects.exists()
        assert api("delete", f"/{endpoint_id}").status_code == 404

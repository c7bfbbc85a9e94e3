"""The OpenAPI document of mails, endpoints, deliveries and preferences."""

import json

import pytest

from tests.people import make_member, make_tenant

pytestmark = pytest.mark.django_db

CALLS = {
    "notification-preferences": {"get", "put"},
    "notifications": {"get", "post"},
    "notifications/{notification_id}": {"get"},
    "notifications/{notification_id}/cancel": {"post"},
    "notifications/{notification_id}/resend": {"post"},
    "syncs": {"get", "post"},
    "syncs/{delivery_id}": {"get"},
    "syncs/{delivery_id}/cancel": {"post"},
    "syncs/{delivery_id}/resend": {"post"},
    "webhook-endpoints": {"get", "post"},
    "webhook-endpoints/{endpoint_id}": {"get", "patch", "delete"},
    "webhook-endpoints/{endpoint_id}/resend": {"post"},
    "webhook-endpoints/{endpoint_id}/rotate-secret": {"post"},
    "webhook-endpoints/{endpoint_id}/test": {"post"},
}
OURS = tuple(f"/api/v1/{name}" for name in ("notification", "syncs", "webhook-endpoints"))


@pytest.fixture
def document(client):
    client.force_login(make_member(make_tenant("acme")))
    return client.get("/api/v1/openapi.json").json()


def fields_of(document, name):
    return set(document["components"]["schemas"][name]["properties"])


class TestTheDocument:
    def test_lists_every_call(self, document):
        listed = {
            path.removeprefix("/api/v1/"): set(methods)
            for path, methods in document["paths"].items()
            if path.startswith(OURS)
        }
        assert listed == CALLS

    def test_says_what_each_call_is_for(self, document):
        for path, methods in document["paths"].items():
            if path.startswith(OURS):
                assert all(call["summary"] and call["tags"] for call in methods.values())

    def test_takes_preferences_as_a_body(self, document):
        call = document["paths"]["/api/v1/notification-preferences"]["put"]
        schema = call["requestBody"]["content"]["application/json"]["schema"]
        assert schema["additionalProperties"] == {"type": "boolean"}
        assert not call["parameters"]

    def test_shows_a_secret_in_the_two_answers_alone_that_have_it(self, document):
        assert "secret" in fields_of(document, "EndpointWithSecret")
        assert "secret" not in fields_of(document, "EndpointOut")
        with_secret = [
            path
            for path, methods in document["paths"].items()
            if "EndpointWithSecret" in json.dumps(methods)
        ]
        assert sorted(with_secret) == [
            "/api/v1/webhook-endpoints",
            "/api/v1/webhook-endpoints/{endpoint_id}/rotate-secret",
        ]

    def test_shows_no_text_of_a_mail(self, document):
        assert "html" not in fields_of(document, "MailOut")

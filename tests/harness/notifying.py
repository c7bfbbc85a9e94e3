"""Mails and webhooks as the API's clients ask for them, and wait for their end."""

from typing import Any

from tests.harness.client import Client
from tests.harness.waiting import wait_for

ENDPOINTS = "/api/v1/webhook-endpoints"
SYNCS = "/api/v1/syncs"
MAILS = "/api/v1/notifications"

#: A safety net for what takes seconds, on a machine with much else to do.
SECONDS = 90

#: What lets processes send to receivers of the tests, and retry at once instead of in ten seconds.
SENDING = {"NOTIFICATIONS_TRUSTED_NETWORKS": "127.0.0.0/8", "JOBS_RETRY_BASE_SECONDS": "1"}

ENDED = {"sent", "delivered", "failed", "cancelled"}


def create_endpoint(client: Client, url: str, *event_types: str) -> dict[str, Any]:
    """Return the answer's document, which has the secret."""
    body: dict[str, Any] = {"url": url, "event_types": list(event_types) or ["*"]}
    return _accepted(client.post(ENDPOINTS, json=body), 201)


def rotate_secret(client: Client, endpoint_id: str) -> str:
    answer = client.post(f"{ENDPOINTS}/{endpoint_id}/rotate-secret")
    return str(_accepted(answer, 200)["secret"])


def see_endpoint(client: Client, endpoint_id: str) -> dict[str, Any]:
    return _accepted(client.get(f"{ENDPOINTS}/{endpoint_id}"), 200)


def request_sync(
    client: Client, endpoint_id: str, data: dict[str, Any], *, event_type: str = "test.happened"
) -> dict[str, Any]:
    body: dict[str, Any] = {"endpoint_id": endpoint_id, "event_type": event_type, "data": data}
    return _accepted(client.post(SYNCS, json=body), 202)


def see_sync(client: Client, sync_id: str) -> dict[str, Any]:
    return _accepted(client.get(f"{SYNCS}/{sync_id}"), 200)


def wait_for_sync(client: Client, sync_id: str, status: str = "delivered") -> dict[str, Any]:
    """Wait until a delivery has a status, and return it with its attempts."""
    return _wait(client, f"{SYNCS}/{sync_id}", status)


def request_mail(
    client: Client, email: str, *, subject: str = "A test", html: str = "<p>Good day.</p>"
) -> dict[str, Any]:
    body = {"email": email, "subject": subject, "html": html}
    return _accepted(client.post(MAILS, json=body), 202)


def wait_for_mail(client: Client, notification_id: str, status: str = "sent") -> dict[str, Any]:
    """Wait until a mail has a status, and return it as the API shows it."""
    return _wait(client, f"{MAILS}/{notification_id}", status)


def _wait(client: Client, path: str, status: str) -> dict[str, Any]:
    def reached() -> dict[str, Any]:
        seen = _accepted(client.get(path), 200)
        assert seen["status"] == status or seen["status"] not in ENDED, seen
        return seen if seen["status"] == status else {}

    return wait_for(reached, SECONDS, f"{path} became {status}")


def _accepted(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    return dict(answer.json())

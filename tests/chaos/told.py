"""Says who was told of each completed export: the tenant's endpoint, and the person who asked."""

import re

from tests.chaos.product import Product
from tests.harness.client import Client
from tests.harness.notifying import create_endpoint
from tests.harness.system import System
from tests.webhook_receiver import WebhookReceiver

EVENT = "export.completed"
SUBJECT = "An export is ready"

DELIVERIES = """
SELECT id::text, status, body::jsonb -> 'data' ->> 'export_id' AS export_id
  FROM notifications_webhookdelivery"""

MESSAGE_ID = re.compile(r"^Message-ID: <notification-([^@]+)@", re.MULTILINE)

MAILS = "SELECT id::text, status FROM notifications_notification WHERE subject LIKE %s"


def subscribe(product: Product, receiver: WebhookReceiver) -> None:
    """Let each tenant's endpoint be told of every completed export."""
    people = product.system.people
    for tenant in (people.acme, people.globex):
        with Client(product.url, tenant.token) as client:
            create_endpoint(client, receiver.url, EVENT)


def untold(system: System, receiver: WebhookReceiver, completed: list[str]) -> list[str]:
    """Return what is wrong: an export that nobody was told of, or was told of as two."""
    return [*_wrong_deliveries(system, receiver, completed), *_wrong_mails(system, completed)]


def _wrong_deliveries(system: System, receiver: WebhookReceiver, completed: list[str]) -> list[str]:
    rows = system.rows(DELIVERIES)
    statuses = {row["id"]: row["status"] for row in rows}
    arrived = {request.headers["webhook-id"] for request in receiver.requests}
    told = sorted(row["export_id"] for row in rows)
    wrong = [] if told == sorted(completed) else [f"{len(told)} deliveries of {len(completed)}"]
    wrong += [f"delivery {name}: {it}" for name, it in statuses.items() if it != "delivered"]
    wrong += [f"delivery {name}: never arrived" for name in statuses.keys() - arrived]
    return wrong + [f"webhook {name}: of no delivery" for name in arrived - statuses.keys()]


def _wrong_mails(system: System, completed: list[str]) -> list[str]:
    rows = system.rows(MAILS, f"{SUBJECT}%")
    written = _written(system)
    wrong = [] if len(rows) == len(completed) else [f"{len(rows)} mails of {len(completed)}"]
    wrong += [f"mail {row['id']}: {row['status']}" for row in rows if row["status"] != "sent"]
    return wrong + [f"mail {row['id']}: never written" for row in rows if row["id"] not in written]


def _written(system: System) -> set[str]:
    """
    Return the ids of the mails that were written, by their Message-IDs.

    A file may have several: Django names it after the second and an address in memory, which two
    children of a worker may share.
    """
    paths = (system.directory / "mail").glob("*")
    return {name for path in paths for name in MESSAGE_ID.findall(path.read_text())}

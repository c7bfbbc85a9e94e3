"""The mail server hangs with a backlog before it, and webhooks go out as if nothing were."""

from collections import Counter
from typing import Any
from uuid import UUID

import pytest

from notifications.operations.mails import request_mail
from tests.harness import ledger, notifying
from tests.harness.system import System
from tests.mail_server import MailServer, mail_server
from tests.webhook_receiver import webhook_receiver

BACKLOG = 40  #: Mails of each of two tenants.
OTHERS = 20
MAILS_MAX = 2  #: Of the children.
SLOTS = 4
SECONDS = 120  #: A safety net.


@pytest.fixture
def server(tmp_path):
    with mail_server(tmp_path / "mails") as server:
        yield server


@pytest.fixture
def web(system: System, server: MailServer) -> Any:
    system.env |= notifying.SENDING
    system.env |= {
        "EMAIL_URL": server.url,
        # As long as may be: nothing but the limit leaves room for webhooks.
        "EMAIL_TIMEOUT_SECONDS": "50",
        "EMAIL_DEADLINE_SECONDS": "50",
        "NOTIFICATIONS_MAILS_IN_FLIGHT_MAX": str(MAILS_MAX),
    }
    system.relay()
    return system.web()


class TestAMailServerThatHangs:
    def test_keeps_no_webhook_waiting_and_costs_the_mails_behind_it_nothing(
        self, system, server, web
    ):
        acme, globex = system.people.acme, system.people.globex
        with webhook_receiver() as receiver:
            # Given a mail server that hangs, with two tenants' mails before it
            server.pause()
            request_mails(system, acme.id)
            request_mails(system, globex.id)
            system.worker(concurrency=SLOTS)
            system.wait_for(
                lambda: sorted(running(system)) == sorted([acme.id, globex.id]),
                seconds=SECONDS,
                what="a mail of each tenant hangs",
            )

            # When a tenant delivers, then everything arrives while the mails hang
            client = web.client(globex.token)
            endpoint = notifying.create_endpoint(client, receiver.url)
            ids = [
                notifying.request_sync(client, endpoint["id"], {"number": number})["sync_id"]
                for number in range(OTHERS)
            ]
            for sync_id in ids:
                notifying.wait_for_sync(client, sync_id)
            assert Counter(each.headers["webhook-id"] for each in receiver.requests) == Counter(ids)
            assert server.mails() == []

        # When it works again, then every mail arrives once
        server.resume()
        ledger.wait_until_all_settled(system)
        assert Counter(mail.recipients[0] for mail in server.mails()) == {
            f"person-{number}@{tenant_id}.example": 1
            for number in range(BACKLOG)
            for tenant_id in (acme.id, globex.id)
        }

        # And none was ever put back: what waited for the limit cost nothing
        assert handed_over(system) == executed(system)


def request_mails(system: System, tenant_id: str) -> None:
    with system.orm():
        for number in range(BACKLOG):
            request_mail(
                tenant_id=UUID(tenant_id),
                user_id=None,
                email=f"person-{number}@{tenant_id}.example",
                subject="Hello",
                html="<p>Hello.</p>",
            )


def running(system: System) -> list[str]:
    """Return the tenant of each mail that is under way."""
    query = """
        SELECT tenant_id FROM jobs_job
         WHERE type = 'notifications.send_notification' AND state = 'running'"""
    return [str(row["tenant_id"]) for row in system.rows(query)]


def handed_over(system: System) -> int:
    query = """
        SELECT sum(dispatch) FROM jobs_job WHERE type = 'notifications.send_notification'"""
    return int(system.value(query))


def executed(system: System) -> int:
    """Return how many attempts of mails have ended in a success or an error."""
    query = """
        SELECT count(*) FROM jobs_attempt a JOIN jobs_job j ON j.id = a.job_id
         WHERE j.type = 'notifications.send_notification'"""
    return int(system.value(query))

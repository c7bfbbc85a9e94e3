"""One tenant's endpoint hangs with a backlog behind it, and another tenant notices nothing."""

from collections import Counter
from typing import Any
from uuid import UUID

import pytest

from notifications.operations.deliveries import request_delivery
from tests.harness import ledger, notifying
from tests.harness.crowd import crowded_receiver
from tests.harness.people import TenantKnown
from tests.harness.system import System
from tests.webhook_receiver import webhook_receiver

BACKLOG = 300
OTHERS = 40
SLOTS = 4  #: Children of the worker: more than one endpoint may hold.
AT_ONCE_MAX = 2
SECONDS = 120  #: A safety net.

IMPATIENT = {
    "NOTIFICATIONS_DELIVERY_SECONDS": "1",
    "NOTIFICATIONS_BREAKER_FAILURES": "4",
    "NOTIFICATIONS_BREAKER_SECONDS": "2",
}


@pytest.fixture
def web(system: System) -> Any:
    system.env |= notifying.SENDING | IMPATIENT
    system.relay()
    return system.web()


class TestAnEndpointThatHangs:
    def test_keeps_nobody_else_waiting_and_loses_nothing(self, system, web):
        with crowded_receiver() as hung, webhook_receiver() as other:
            # Given one tenant's backlog for a receiver that hangs, until its breaker has opened
            acme, globex = system.people.acme, system.people.globex
            mine = web.client(acme.token)
            endpoint = notifying.create_endpoint(mine, hung.url)
            backlog = request_many(system, acme, endpoint["id"], BACKLOG)
            system.worker(concurrency=SLOTS)
            system.wait_for(
                lambda: notifying.see_endpoint(mine, endpoint["id"])["open_until"],
                seconds=SECONDS,
                what="its breaker is open",
            )

            # When another tenant delivers, then everything arrives while the first one hangs
            theirs = notifying.create_endpoint(web.client(globex.token), other.url)
            others = request_many(system, globex, theirs["id"], OTHERS)
            wait_until_delivered(system, theirs["id"], OTHERS)
            assert Counter(each.headers["webhook-id"] for each in other.requests) == Counter(others)
            assert hung.answered == []

            # And what waits behind the breaker has spent nothing
            assert hung.most_at_once <= AT_ONCE_MAX
            untried = failures_of_untried(system, endpoint["id"])
            assert len(untried) > BACKLOG / 2
            assert set(untried) == {0}

            # When it answers again, then all of its own arrives, each id answered once
            hung.release()
            wait_until_delivered(system, endpoint["id"], BACKLOG)
            ledger.wait_until_all_settled(system)
            assert Counter(hung.answered) == Counter(backlog)
            assert hung.most_at_once <= AT_ONCE_MAX
            assert notifying.see_endpoint(mine, endpoint["id"])["open_until"] is None

            # And what came more often is what was cut before
            assert Counter(hung.begun) - Counter(hung.answered) == cut_of(system, endpoint["id"])
            assert ledger.count_by_state(system) == {"succeeded": BACKLOG + OTHERS}


def request_many(system: System, tenant: TenantKnown, endpoint_id: str, count: int) -> list[str]:
    """Ask for many deliveries, and return their ids."""
    with system.orm():
        stored = [
            request_delivery(
                tenant_id=UUID(tenant.id),
                user_id=None,
                endpoint_id=UUID(endpoint_id),
                event_type="test.happened",
                data={"number": number},
            )
            for number in range(count)
        ]
    return [str(each.pk) for each in stored]


def wait_until_delivered(system: System, endpoint_id: str, count: int) -> None:
    query = """
        SELECT count(*) FROM notifications_webhookdelivery
         WHERE endpoint_id = %s AND status = 'delivered'"""
    system.wait_for(
        lambda: system.value(query, endpoint_id) == count,
        seconds=SECONDS,
        what=f"all {count} deliveries have arrived",
    )


def failures_of_untried(system: System, endpoint_id: str) -> list[int]:
    """Return the failures and losses of each job whose delivery was never posted."""
    query = """
        SELECT j.failures + j.losses AS spent
          FROM jobs_job j JOIN notifications_webhookdelivery d ON d.job_id = j.id
         WHERE d.endpoint_id = %s AND d.attempts_started = 0"""
    return [row["spent"] for row in system.rows(query, endpoint_id)]


def cut_of(system: System, endpoint_id: str) -> Counter[str]:
    """Return how many attempts of each delivery ended without an answer."""
    query = """
        SELECT d.id FROM notifications_deliveryattempt a
          JOIN notifications_webhookdelivery d ON d.id = a.delivery_id
         WHERE d.endpoint_id = %s AND a.status_code IS NULL"""
    return Counter(str(row["id"]) for row in system.rows(query, endpoint_id))

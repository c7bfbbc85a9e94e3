"""A webhook to a receiver that misbehaves in turn, as the receiver and the API's client see it."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.harness import ledger, notifying
from tests.harness.system import System
from tests.webhook_receiver import Received, WebhookReceiver, webhook_receiver

DELIVERY_SECONDS = 2
WAITS = [timedelta(seconds=seconds) for seconds in (1, 2, 4)]
DATA = {"order": 7, "text": "größer als \u2028 <b>&amp;", "nested": {"b": 1, "a": [None, 1.5]}}


@pytest.fixture(scope="module")
def system(shared_system: System) -> System:
    shared_system.env |= notifying.SENDING
    shared_system.env["NOTIFICATIONS_DELIVERY_SECONDS"] = str(DELIVERY_SECONDS)
    shared_system.relay()
    return shared_system


@pytest.fixture(scope="module")
def web(system):
    return system.web()


@pytest.fixture(scope="module")
def client(system, web):
    return web.client(system.people.acme.token)


@pytest.fixture(scope="module")
def worker(system):
    return system.worker()


class TestAReceiverThatNeverAccepts:
    def test_gets_four_attempts_and_the_delivery_fails_with_one_dead_letter(
        self, system, client, worker
    ):
        with webhook_receiver(default=503) as receiver:
            endpoint = notifying.create_endpoint(client, receiver.url)
            accepted = notifying.request_sync(client, endpoint["id"], DATA)

            delivery = notifying.wait_for_sync(client, accepted["sync_id"], "failed")

        assert ids(receiver) == [accepted["sync_id"]] * 4
        assert delivery["attempts"] == 4
        assert "answered 503" in delivery["error"]
        assert [each["status_code"] for each in delivery["history"]] == [503] * 4
        system.wait_for(
            lambda: dead_letters(system, accepted["job_id"]) == 1,
            seconds=notifying.SECONDS,
            what="its dead letter is stored",
        )


class TestARotatedSecret:
    def test_signs_beside_the_old_one(self, client, worker):
        with webhook_receiver() as receiver:
            endpoint = notifying.create_endpoint(client, receiver.url)
            new = notifying.rotate_secret(client, endpoint["id"])
            accepted = notifying.request_sync(client, endpoint["id"], DATA)
            notifying.wait_for_sync(client, accepted["sync_id"])

        for secret in (endpoint["secret"], new):
            assert_signed(receiver.requests, secret)
        assert endpoint["secret"] != new


class TestAReceiverThatAnswers500HangsAndResetsBeforeItAccepts:
    def test_gets_one_id_four_times_and_then_nothing_more(self, system, client, worker):
        with webhook_receiver(answers=[500, "hang", "reset"]) as receiver:
            # Given an endpoint and a delivery to it
            endpoint = notifying.create_endpoint(client, receiver.url)
            accepted = notifying.request_sync(client, endpoint["id"], DATA)

            # When it has been accepted at last
            delivery = notifying.wait_for_sync(client, accepted["sync_id"])

            # Then it came four times, later and later, each time signed anew and otherwise the same
            assert {each.body for each in receiver.requests} == {delivery["body"].encode()}
            assert ids(receiver) == [accepted["sync_id"]] * 4
            assert_signed(receiver.requests, endpoint["secret"])
            assert_waited(receiver.requests)

            # And the API tells of each attempt, as the ledger does
            assert_told(delivery)
            outcomes = ledger.outcomes(system, accepted["job_id"])
            assert outcomes == ["failed", "failed", "failed", "succeeded"]

            # And nothing comes after it, whoever is started again
            disturb(system, worker)
            assert len(receiver.requests) == 4
            assert notifying.see_sync(client, accepted["sync_id"]) == delivery


def ids(receiver: WebhookReceiver) -> list[str]:
    return [each.headers["webhook-id"] for each in receiver.requests]


def assert_signed(requests: list[Received], secret: str) -> None:
    """By the library that receivers use, over the bytes that came."""
    for each in requests:
        Webhook(secret).verify(each.body, each.headers)


def assert_waited(requests: list[Received]) -> None:
    """Each attempt ends after it came, so between two lie the wait and the time that it took."""
    arrivals = [each.received_at for each in requests]
    waits = [later - earlier for earlier, later in zip(arrivals, arrivals[1:], strict=False)]
    assert all(seen >= wanted for seen, wanted in zip(waits, WAITS, strict=True)), waits
    assert waits[1] >= WAITS[1] + timedelta(seconds=DELIVERY_SECONDS)  # It hung meanwhile.

    signed_at = [int(each.headers["webhook-timestamp"]) for each in requests]
    assert signed_at == sorted(set(signed_at))
    for arrival, moment in zip(arrivals, signed_at, strict=True):
        assert datetime.fromtimestamp(moment, tz=UTC) <= arrival


def assert_told(delivery: dict[str, Any]) -> None:
    history = delivery["history"]
    assert [each["number"] for each in history] == [1, 2, 3, 4]
    assert [each["status_code"] for each in history] == [500, None, None, 200]
    first, hung, reset, last = [each["error"] for each in history]
    assert first == "The receiver answered 500."
    assert f"gave no whole answer within {DELIVERY_SECONDS} s" in hung
    assert "broke off the connection" in reset
    assert last == ""
    assert history[1]["latency_ms"] >= DELIVERY_SECONDS * 1_000
    assert (delivery["attempts"], delivery["error"]) == (4, None)


def disturb(system: System, worker: Any) -> None:
    """Look for lost jobs, and start another worker in the place of the old one."""
    system.run("recover_jobs")
    worker.terminate()
    with system.worker("next"):
        system.run("recover_jobs")
        time.sleep(3)  # What was wrongly sent again would be due, taken and posted by then.


def dead_letters(system: System, job_id: str) -> int:
    return int(system.value("SELECT count(*) FROM jobs_deadletter WHERE job_id = %s", job_id))

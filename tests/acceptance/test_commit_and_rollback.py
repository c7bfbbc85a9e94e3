"""What was committed runs exactly once, and what was rolled back never happened."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from django.db import transaction

from jobs import enqueue
from tests.harness import exporting, ledger
from tests.harness.client import Client
from tests.harness.processes import Web
from tests.harness.system import System
from tests.harness.tasks import add_effect

#: A recovery that looks for lost messages every second instead of twice a minute.
IMPATIENT = {
    "JOBS_RECOVERY_INTERVAL_SECONDS": "1",
    "JOBS_STALL_AFTER_SECONDS": "2",
    "JOBS_COPY_INTERVAL_SECONDS": "5",
}


@pytest.fixture(scope="module")
def system(shared_system: System) -> System:
    """A product with a relay and a worker; tests that kill the web process leave none."""
    shared_system.env |= IMPATIENT
    exporting.add_items(shared_system, shared_system.people.acme.id, 100)
    shared_system.relay()
    shared_system.worker()
    return shared_system


@pytest.fixture
def web(system: System) -> Web:
    """The web process of the test before, unless that killed it."""
    alive = [one for one in system.processes if isinstance(one, Web) and one.alive]
    return alive[0] if alive else system.web()


@pytest.fixture
def client(system: System, web: Web) -> Client:
    return web.client(system.people.acme.token)


class TestRollback:
    def test_leaves_no_job_and_sends_no_message(self, system):
        # Given a transaction that enqueues and is rolled back, and one that commits after it
        with system.orm():
            with transaction.atomic():
                lost = enqueue(add_effect, {"label": "rolled back"})
                transaction.set_rollback(True)
            kept = enqueue(add_effect, {"label": "committed"})

        # When the later job has run, then there is nothing of the first
        ledger.wait_for_state(system, kept.pk, "succeeded")
        assert system.rows("SELECT 1 FROM jobs_job WHERE id = %s", lost.pk) == []
        assert system.effects("rolled back") == 0
        assert system.effects("committed") == 1
        assert system.queues.ready("jobs") == 0


class TestCommit:
    def test_outlives_the_web_process_that_answered(self, system, web, client):
        # Given a web process that is killed as soon as it has accepted an export
        accepted = exporting.request_export(client)
        web.kill()

        # Then it runs, exactly once
        ledger.wait_for_state(system, accepted["job_id"], "succeeded")
        assert ledger.outcomes(system, accepted["job_id"]) == ["succeeded"]

    def test_happens_once_for_each_key_however_the_web_process_dies(self, system, web, client):
        # Given many requests under way when the web process is killed
        keys = [f"killed-{number}" for number in range(40)]
        with ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(try_to_request, client, key) for key in keys]
            system.wait_for(lambda: any(one.done() for one in futures), seconds=30, what="answers")
            web.kill()
        answers = {key: one.result() for key, one in zip(keys, futures, strict=True)}

        # When the client sends them all again, as a client without an answer does
        again = system.web().client(system.people.acme.token)
        accepted = {key: exporting.request_export(again, key=key) for key in keys}

        # Then what was accepted before is accepted still, and each key has one export of one run
        assert {key: answer for key, answer in answers.items() if answer}.items() <= (
            accepted.items()
        )
        ids = {answer["export_id"] for answer in accepted.values()}
        assert len(ids) == len(keys)
        ledger.wait_until_all_settled(system)
        for answer in accepted.values():
            assert ledger.outcomes(system, answer["job_id"]) == ["succeeded"]
        print(f"{sum(map(bool, answers.values()))} of {len(keys)} were answered before the kill")


class TestBrokerAway:
    def test_does_not_keep_a_request_waiting(self, system, client, own_rabbitmq):
        # Given a broker that is away
        own_rabbitmq.kill()

        # When an export is requested, then it is accepted, and durable in the ledger
        started = time.monotonic()
        accepted = exporting.request_export(client)
        print(f"Accepted in {time.monotonic() - started:.3f} s while RabbitMQ was away")
        assert ledger.state_of(system, accepted["job_id"]) in ("waiting", "queued")
        assert exporting.see_export(client, accepted["export_id"])["status"] == "queued"

        # And it completes once the broker is back
        own_rabbitmq.start()
        export = exporting.wait_for_export(client, accepted["export_id"])
        assert exporting.digest(exporting.download(client, export)) == export["sha256"]


class TestIdempotencyKey:
    def test_makes_fifty_requests_at_once_one_export(self, system, web):
        # Given fifty clients that send the same request at the same moment
        def send(_: int) -> requests.Response:
            body = {"format": "csv", "dataset": "items"}
            headers = {"Idempotency-Key": "fifty"}
            with web.client(system.people.acme.token) as client:
                answer: requests.Response = client.post(
                    exporting.EXPORTS, json=body, headers=headers
                )
                return answer

        before = system.value("SELECT count(*) FROM exports_export")
        with ThreadPoolExecutor(50) as pool:
            answers = list(pool.map(send, range(50)))

        # Then all get the answer of the one export that was made
        assert {answer.status_code for answer in answers} == {202}
        assert all(answer.json() == answers[0].json() for answer in answers)
        assert system.value("SELECT count(*) FROM exports_export") == before + 1
        ledger.wait_for_state(system, answers[0].json()["job_id"], "succeeded")

    def test_refuses_another_request_under_the_same_key(self, client):
        exporting.request_export(client, format="csv", key="twice")
        other = {"format": "json", "dataset": "items"}
        answer = client.post(exporting.EXPORTS, json=other, headers={"Idempotency-Key": "twice"})
        assert answer.status_code == 409
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["errors"][0]["field"] == "Idempotency-Key"

    def test_is_each_tenants_own(self, system, web, client):
        ours = exporting.request_export(client, key="same")
        theirs = exporting.request_export(web.client(system.people.globex.token), key="same")
        assert ours["export_id"] != theirs["export_id"]


def try_to_request(client: Client, key: str) -> dict[str, str] | None:
    """Return the answer's document, None for a request that got no answer."""
    try:
        with Client(client.url) as mine:
            mine.headers.update(client.headers)
            return exporting.request_export(mine, key=key)
    except requests.RequestException:
        return None

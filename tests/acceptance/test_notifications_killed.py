"""Mails, webhooks and events whose process is killed between row, send and settle."""

from collections import Counter
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import requests

from jobs.announcements import announce
from tests.harness import deaths, ledger, notifying
from tests.harness.client import Client
from tests.harness.crash_points import env_for, mark_of
from tests.harness.system import System
from tests.mail_server import MailServer, ReceivedMail, mail_server
from tests.webhook_receiver import WebhookReceiver, webhook_receiver

SECONDS = 90  #: A safety net.

#: Leases and sweeps of seconds instead of minutes; nothing else differs from production.
IMPATIENT = {
    "JOBS_LEASE_SECONDS": "3",
    "JOBS_HEARTBEAT_SECONDS": "1",
    "JOBS_RECOVERY_INTERVAL_SECONDS": "1",
    "JOBS_STALL_AFTER_SECONDS": "2",
    "JOBS_COPY_INTERVAL_SECONDS": "5",
}

#: Where each of the two dies, and how often its other side gets what is sent.
PAIRS = [
    ("mail.before_begin", 1, "sync.before_begin", 1),
    ("mail.before_send", 1, "sync.before_post", 1),
    ("mail.after_send", 2, "sync.after_post", 2),
    ("child.after_succeeded", 1, "sync.before_commit", 2),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    with mail_server(tmp_path_factory.mktemp("mails")) as server:
        yield server


@pytest.fixture(scope="module")
def receiver() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def system(shared_system: System, server: MailServer) -> System:
    shared_system.env |= notifying.SENDING | IMPATIENT | {"EMAIL_URL": server.url}
    return shared_system


@pytest.fixture(scope="module")
def client(system: System) -> Client:
    return system.web().client(system.people.acme.token)


@pytest.fixture(scope="module")
def endpoint(client: Client, receiver: WebhookReceiver) -> dict[str, Any]:
    return notifying.create_endpoint(client, receiver.url)


@pytest.fixture(scope="module")
def came() -> Counter[str]:
    """How often each mail and delivery came, by its id, when its test had seen its end."""
    return Counter()


@pytest.fixture(autouse=True)
def fresh(system: System) -> Iterator[None]:
    """Each test has a crash of its own, and leaves no relay or worker to the next."""
    for mark in system.directory.glob(f"{mark_of(system).name}*"):
        mark.unlink()
    before = list(system.processes)
    yield
    for process in system.processes:
        if process not in before:
            process.kill()


@pytest.fixture
def relay(system: System) -> Any:
    return system.relay()


@pytest.fixture
def worker(system: System) -> Any:
    return system.worker()


class TestAWorkerThatDies:
    @pytest.mark.parametrize(("mail_point", "mails", "sync_point", "posts"), PAIRS)
    def test_with_a_mail_and_with_a_webhook_sends_each_once_more_at_most(
        self, system, server, receiver, client, endpoint, relay, came,
        mail_point, mails, sync_point, posts,
    ):  # fmt: skip
        # Given a worker whose children die, one with the mail and one with the webhook
        system.worker("doomed", env=env_for(system, f"{mail_point},{sync_point}"))
        mail = notifying.request_mail(client, "somebody@there.example")
        sync = notifying.request_sync(client, endpoint["id"], {"point": sync_point})

        # When both have died
        wait_for_crash(system, mail_point)
        wait_for_crash(system, sync_point)

        # Then both come to their end
        sent = notifying.wait_for_mail(client, mail["notification_id"])
        delivery = notifying.wait_for_sync(client, sync["sync_id"])
        came.update({mail["notification_id"]: mails, sync["sync_id"]: posts})
        assert everything(server, receiver) == came
        assert sent["error"] is None
        assert_told(delivery, cut=sync_point != "sync.before_begin")

    def test_with_a_webhook_after_its_settle_posts_it_once(
        self, system, server, receiver, client, endpoint, relay, came
    ):
        system.worker("doomed", env=env_for(system, "child.after_succeeded"))
        sync = notifying.request_sync(client, endpoint["id"], {})

        wait_for_crash(system)

        came[sync["sync_id"]] = 1
        assert_told(notifying.wait_for_sync(client, sync["sync_id"]), cut=False)
        assert everything(server, receiver) == came

    @pytest.mark.parametrize("point", ["mail.after_send", "sync.after_post"])
    def test_with_all_its_children_lets_another_worker_send_it_again(
        self, system, server, receiver, client, endpoint, relay, came, point
    ):
        doomed = system.worker("doomed", env=env_for(system, point, by="group"))
        what = point.partition(".")[0]
        path, body = request_of(what, endpoint, "somebody@there.example")
        accepted = client.post(path, json=body).json()
        doomed.wait_until_gone()

        system.worker("second")

        ledger.wait_until_all_settled(system)
        came[id_in(accepted)] = 2
        assert everything(server, receiver) == came
        if what == "sync":
            assert_told(notifying.see_sync(client, accepted["sync_id"]), cut=True)

    @pytest.mark.parametrize(
        "point", ["announce.before", "announce.before_commit", "child.after_succeeded"]
    )
    def test_with_an_event_tells_everybody_once(
        self, system, server, receiver, client, endpoint, relay, came, point
    ):
        posts, mails = len(receiver.requests), len(server.mails())
        system.worker("doomed", env=env_for(system, point))
        announce_export(system)

        wait_for_crash(system)

        ledger.wait_until_all_settled(system)
        [post] = receiver.requests[posts:]
        [mail] = server.mails()[mails:]
        came.update([post.headers["webhook-id"], id_of(mail)])
        assert b'"type":"export.completed"' in post.body
        assert mail.recipients == [system.people.acme.owner]
        assert all_statuses(system) == {"sent", "delivered"}


class TestAWebProcessThatDies:
    @pytest.mark.parametrize("what", ["mail", "sync"])
    def test_after_the_row_is_stored_answers_the_same_request_again_and_sends_once(
        self, system, server, receiver, endpoint, worker, came, what
    ):
        # Given a web process that dies with the row committed and the answer not given
        point = f"web.after_{what}_stored"
        web = system.web(workers=1, env=env_for(system, point))
        client = web.client(system.people.acme.token)
        path, body = request_of(what, endpoint, f"{point}@there.example")
        options: dict[str, Any] = {"json": body, "headers": {"Idempotency-Key": point}}
        with pytest.raises(requests.ConnectionError):
            client.post(path, **options)
        wait_for_crash(system)

        # When its client asks again, and only then a relay looks
        again = client.post(path, **options)
        assert again.status_code == 202, again.text
        system.relay()

        # Then there is one, and it has come once
        ledger.wait_until_all_settled(system)
        came[id_in(again.json())] = 1
        assert everything(server, receiver) == came


class TestARelayThatDies:
    @pytest.mark.parametrize("point", ["relay.after_take", "relay.after_publish"])
    def test_on_the_way_lets_another_one_send_each_once(
        self, system, server, receiver, client, endpoint, worker, came, point
    ):
        mail = notifying.request_mail(client, f"{point}@there.example")
        sync = notifying.request_sync(client, endpoint["id"], {"point": point})
        system.relay(env=env_for(system, point)).wait_until_gone()

        system.relay()

        notifying.wait_for_mail(client, mail["notification_id"])
        notifying.wait_for_sync(client, sync["sync_id"])
        came.update([mail["notification_id"], sync["sync_id"]])
        assert everything(server, receiver) == came


class TestAfterAllThat:
    def test_nothing_has_come_again_and_nothing_is_left(self, system, server, receiver, came):
        system.relay()
        system.worker()

        deaths.wait_until_quiet(system)

        assert everything(server, receiver) == came
        assert set(ledger.count_by_state(system)) == {"succeeded"}
        assert all_statuses(system) == {"sent", "delivered"}


def wait_for_crash(system: System, point: str = "") -> None:
    system.wait_for(mark_of(system, point).exists, seconds=SECONDS, what=f"a crash {point}")


def assert_told(delivery: dict[str, Any], *, cut: bool) -> None:
    """An attempt that was cut is told of as such: without an answer, and without an error."""
    history = delivery["history"]
    assert [each["status_code"] for each in history] == ([None, 200] if cut else [200])
    assert {each["error"] for each in history} == {""}


def announce_export(system: System) -> None:
    people = system.people.acme
    data = {"export_id": people.id, "dataset": "items", "format": "csv", "row_count": 3}
    with system.orm():
        tenant, owner = UUID(people.id), UUID(people.owner_id)
        announce("export.completed", tenant_id=tenant, user_id=owner, data=data)


def request_of(what: str, endpoint: dict[str, Any], address: str) -> tuple[str, dict[str, Any]]:
    if what == "mail":
        mail = {"email": address, "subject": "A test", "html": "<p>Good day.</p>"}
        return notifying.MAILS, mail
    data = {"endpoint_id": endpoint["id"], "event_type": "test.happened", "data": {}}
    return notifying.SYNCS, data


def everything(server: MailServer, receiver: WebhookReceiver) -> Counter[str]:
    """Return how often each mail and delivery has come, by its id."""
    mails = Counter(id_of(mail) for mail in server.mails())
    return mails + Counter(each.headers["webhook-id"] for each in receiver.requests)


def id_in(accepted: dict[str, Any]) -> str:
    return str(accepted.get("notification_id") or accepted["sync_id"])


def id_of(mail: ReceivedMail) -> str:
    return str(mail.message["Message-ID"]).partition("@")[0].strip().removeprefix("<notification-")


def all_statuses(system: System) -> set[str]:
    tables = ("notifications_notification", "notifications_webhookdelivery")
    rows = [row for table in tables for row in system.rows(f"SELECT status FROM {table}")]
    return {row["status"] for row in rows}

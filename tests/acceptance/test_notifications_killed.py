"""Mails, webhooks and events whose process is killed between row, send and settle."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

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
    "JOBS_LEASE_SECONDS": "2",
    "JOBS_HEARTBEAT_SECONDS": "1",
    "JOBS_RECOVERY_INTERVAL_SECONDS": "1",
    "JOBS_STALL_AFTER_SECONDS": "2",
    "JOBS_COPY_INTERVAL_SECONDS": "5",
}

#: Each point, who is killed there, and how often the other side gets what is sent.
MAIL_POINTS = [
    ("mail.before_begin", "child", 1),
    ("mail.before_send", "child", 1),
    ("mail.after_send", "child", 2),
    ("mail.after_send", "group", 2),
    ("child.after_succeeded", "child", 1),
]
SYNC_POINTS = [
    ("sync.before_begin", "child", 1),
    ("sync.before_post", "child", 1),
    ("sync.after_post", "child", 2),
    ("sync.after_post", "group", 2),
    ("sync.before_commit", "child", 2),
    ("child.after_succeeded", "child", 1),
]
#: Where no attempt has begun, or the one that had is stored.
NEVER_CUT = {"sync.before_begin", "child.after_succeeded"}


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
    mark_of(system).unlink(missing_ok=True)
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
    @pytest.mark.parametrize(("point", "by", "times"), MAIL_POINTS)
    def test_with_a_mail_sends_it_once_more_at_most(
        self, system, server, receiver, client, relay, came, point, by, times
    ):
        doomed = system.worker("doomed", env=env_for(system, point, by=by))
        accepted = notifying.request_mail(client, f"{by}-{point}@there.example")

        wait_for_crash(system)
        replace_if_gone(system, doomed, by)

        sent = notifying.wait_for_mail(client, accepted["notification_id"])
        came[accepted["notification_id"]] = times
        assert everything(server, receiver) == came
        assert (sent["error"], sent["attempts"] <= 2) == (None, True)

    @pytest.mark.parametrize(("point", "by", "times"), SYNC_POINTS)
    def test_with_a_webhook_posts_it_once_more_at_most(
        self, system, server, receiver, client, endpoint, relay, came, point, by, times
    ):
        doomed = system.worker("doomed", env=env_for(system, point, by=by))
        accepted = notifying.request_sync(client, endpoint["id"], {"point": point})

        wait_for_crash(system)
        replace_if_gone(system, doomed, by)

        delivery = notifying.wait_for_sync(client, accepted["sync_id"])
        came[accepted["sync_id"]] = times
        assert everything(server, receiver) == came
        assert [each["error"] for each in delivery["history"]] == [""] * len(delivery["history"])
        begun = [each["status_code"] for each in delivery["history"]]
        assert begun == ([200] if point in NEVER_CUT else [None, 200])

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
        mine = again.json()["notification_id" if what == "mail" else "sync_id"]
        came[mine] = 1
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


def wait_for_crash(system: System) -> None:
    system.wait_for(mark_of(system).exists, seconds=SECONDS, what="a crash")


def replace_if_gone(system: System, doomed: Any, by: str) -> None:
    if by == "group":
        doomed.wait_until_gone()
        system.worker("second")


def announce_export(system: System) -> None:
    people = system.people.acme
    data = {"export_id": people.id, "dataset": "items", "format": "csv", "row_count": 3}
    with system.orm():
        announce("export.completed", tenant_id=people.id, user_id=people.owner_id, data=data)


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


def id_of(mail: ReceivedMail) -> str:
    return str(mail.message["Message-ID"]).partition("@")[0].strip().removeprefix("<notification-")


def all_statuses(system: System) -> set[str]:
    tables = ("notifications_notification", "notifications_webhookdelivery")
    rows = [row for table in tables for row in system.rows(f"SELECT status FROM {table}")]
    return {row["status"] for row in rows}

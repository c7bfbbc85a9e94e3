"""Secrets that are planted, driven through every ending, and then found nowhere."""

from base64 import b64encode
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from cryptography.fernet import Fernet

from jobs import enqueue
from project.services.ports import LOOPBACK, free_port, listens
from tests.harness import deaths, ledger, notifying, places
from tests.harness.canaries import found_in, spellings
from tests.harness.client import Client
from tests.harness.places import Place
from tests.harness.planting import (
    DECOY,
    ENDINGS,
    HTML,
    LINK,
    Planted,
    plant_endpoint,
    plant_invitation,
    plant_link,
    plant_mail_that_is,
    plant_mails,
    plant_refused,
    plant_whole_mails,
    receivers,
)
from tests.harness.system import System
from tests.harness.tasks import add_effect
from tests.mail_server import MailServer, mail_server, refuse

MAIL_PASSWORD = "c4n4ry-of-the-mail-server"
FLOWER_LOGIN = ("ops", "a-long-password")


@pytest.fixture(scope="module")
def planted() -> Planted:
    return Planted()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    folder = tmp_path_factory.mktemp("mails")
    with mail_server(folder, login=f"mailer:{MAIL_PASSWORD}") as server:
        yield server


@pytest.fixture(scope="module")
def system(shared_system: System, server: MailServer, planted: Planted) -> System:
    keys = [planted.plant(f"key {number}", Fernet.generate_key().decode()) for number in (1, 2)]
    planted.plant("mail password", MAIL_PASSWORD)
    shared_system.env |= notifying.SENDING
    shared_system.env |= {
        "EMAIL_URL": server.url,
        "SECRETS_KEYS": ",".join(keys),
        "NOTIFICATIONS_DELIVERY_SECONDS": "1",
        "JOBS_RETRIES_MAX": "1",
        "LOG_LEVEL": "DEBUG",
        "FLOWER_BASIC_AUTH": ":".join(FLOWER_LOGIN),
    }
    return shared_system


@pytest.fixture(scope="module")
def web(system):
    return system.web()


@pytest.fixture(scope="module")
def client(system, web):
    return web.client(system.people.acme.token)


@pytest.fixture(scope="module")
def flower(system):
    address = f"{LOOPBACK}:{free_port()}"
    process = system.flower(env={"FLOWER_ADDRESS": address})
    process.wait_for(
        lambda: listens(int(address.rpartition(":")[2])), seconds=60, what="it listened"
    )
    client = Client(f"http://{address}")
    client.auth = FLOWER_LOGIN
    return client


class TestTheSearch:
    @pytest.mark.parametrize("spelling", sorted(spellings(LINK)))
    def test_finds_every_spelling_of_a_secret(self, spelling):
        assert found_in(f"before {spelling} after", {"link": LINK}) == {"link"}

    def test_finds_it_in_the_dump_of_bytes_and_in_base64_of_a_longer_text(self):
        for before in ("", "a", "ab", "abc"):
            whole = f"{before}{LINK} and more".encode()
            assert found_in(b64encode(whole).decode(), {"link": LINK}) == {"link"}
            assert found_in(f"\\x{whole.hex()}", {"link": LINK}) == {"link"}

    def test_finds_nothing_in_a_part_of_it(self):
        assert found_in(LINK[:-1] + " " + LINK[1:], {"link": LINK}) == set()


class TestSecrets:
    def test_are_found_nowhere_whatever_ends_how(
        self, system, web, client, server, flower, planted
    ):
        # Given secrets that are planted, while no worker runs yet
        with receivers() as urls:
            accepted = {name: plant_endpoint(client, planted, name, url)
                        for name, url in urls.items()}  # fmt: skip
            refused = plant_refused(system, client, planted)
            mails = plant_mails(client, planted)
            enqueue_decoy(system)
            planted.seen += handed_over(system)

            # When each meets its end, with worker and Flower looking on
            system.worker()
            system.wait_for(
                lambda: flower.get("/api/workers?refresh=1").json(),
                seconds=60,
                what="Flower saw the worker",
            )
            for mail in mails:
                notifying.wait_for_mail(client, mail)
            plant_invitation(server, planted)
            plant_whole_mails(system, planted)
            plant_mail_that_is(client, planted, server, "deferred", refuse("END", 451))
            plant_mail_that_is(client, planted, server, "locked out", refuse("AUTH", 535))
            plant_mail_that_is(client, planted, server, "rejected", refuse("END", 554))
            for name, sync_id in accepted.items():
                notifying.wait_for_sync(client, sync_id, ENDINGS[name][2])
        delivery = notifying.wait_for_sync(client, refused, "failed")
        assert "a private network" in delivery["error"]
        ledger.wait_until_all_settled(system)
        deaths.wait_until_quiet(system)
        planted.seen += bad_requests(client, planted)
        planted.seen += broken_pages(system, planted)
        planted.seen += refused_starts(system, planted)

        # Then none is in any place, and what is no secret is in each
        seen = [*planted.seen, *everything(system, web, client, flower, server)]
        assert sorted({leak for place in seen for leak in planted.leaks(place)}) == []
        assert_decoy_is_found(seen)
        assert_mails_have_their_own(seen, planted)


def enqueue_decoy(system: System) -> None:
    """A job that dies with the decoy in its payload and its error."""
    with system.orm():
        tenant = UUID(system.people.acme.id)
        enqueue(add_effect, {"label": DECOY, "failures": 99}, tenant_id=tenant)


def handed_over(system: System) -> list[Place]:
    """Let the relay hand all over, and read the messages while nobody takes them."""
    system.relay()
    waiting = "SELECT count(*) FROM jobs_job WHERE state = 'waiting'"
    system.wait_for(lambda: not system.value(waiting), seconds=60, what="all is handed over")
    system.wait_for(
        lambda: system.queues.ready("jobs") and system.queues.ready("notifications"),
        seconds=60,
        what="messages wait",
    )
    return list(places.messages(system, "jobs", "notifications"))


def bad_requests(client: Client, planted: Planted) -> Iterator[Place]:
    """Requests with secrets in them that the API refuses."""
    html = HTML.format(plant_link(planted, "bad"))
    good = {"email": "bad@there.example", "subject": DECOY, "html": html}
    secret = planted.secrets["new secret of what accepts"]
    for body in (
        good | {"email": "no address"},
        good | {"subject": ["a", "list"]},
        good | {"html": html * 5_000},
        good | {"html": {"nested": html}},
        good | {"unknown": html},
    ):
        yield refused(client, notifying.MAILS, json=body)
    yield refused(client, notifying.MAILS, data=f'{{"html": "{html}"')
    yield refused(client, notifying.ENDPOINTS, json={"url": "https://10.0.0.1/", "secret": secret})
    yield refused(client, "/api/v1/invitations/accept", json={"token": [secret]})
    wrong = {"Authorization": f"Bearer {secret}"}
    yield refused(client, notifying.MAILS, json=good, headers=wrong)


def refused(client: Client, path: str, **options: Any) -> Place:
    status, place = places.answer_of(client, "POST", path, **options)
    assert 400 <= status < 500, place
    return place


def broken_pages(system: System, planted: Planted) -> Iterator[Place]:
    """Requests that end in an error of ours, by a web process that is told to fail."""
    failing = {"JOBS_EXTRA_TASK_MODULES": "tests.harness.tasks,tests.harness.failing_requests"}
    client = system.web(workers=1, env=failing).client(system.people.acme.token)
    [endpoint, *_] = client.get(notifying.ENDPOINTS).json()
    html = HTML.format(plant_link(planted, "broken"))
    mail = {"email": "broken@there.example", "subject": DECOY, "html": html}
    token = planted.secrets["invitation"]
    for method, path, options in (
        ("POST", notifying.MAILS, {"json": mail}),
        ("POST", f"{notifying.ENDPOINTS}/{endpoint['id']}/rotate-secret", {}),
        ("POST", "/api/v1/invitations/accept", {"json": {"token": token}}),
        ("GET", f"/invitations/accept?token={token}", {}),
    ):
        status, place = places.answer_of(client, method, path, **options)
        assert status == 500, place
        yield place


def refused_starts(system: System, planted: Planted) -> Iterator[Place]:
    """Commands that refuse to start for what is wrong with a secret setting."""
    for name, value in (
        ("SECRETS_KEYS", f"A{planted.secrets['key 1']}"),
        ("EMAIL_URL", f"smtp://mailer:{MAIL_PASSWORD}@127.0.0.1:port"),
        ("EMAIL_URL", f"ftp://mailer:{MAIL_PASSWORD}@127.0.0.1:25"),
    ):
        done = system.run("check", env={name: value}, check=False)
        assert done.returncode != 0, name
        assert name in done.stderr
        yield f"refusal of {name}", done.stdout + done.stderr


def everything(
    system: System, web: Any, client: Client, flower: Client, server: MailServer
) -> Iterator[Place]:
    yield from places.logs(system)
    yield from places.tables(system)
    yield from places.admin_pages(system, web)
    yield from places.api_pages(client)
    yield from places.probes(web)
    yield from places.flower_pages(flower)
    yield from places.commands(system)
    yield from places.mails(server.mails())


def assert_decoy_is_found(seen: list[Place]) -> None:
    """In each kind of place that has it; the others have something else that we know."""
    decoy = Planted({"decoy": DECOY}, {"decoy": ()})
    having = {name for place in seen for _, name in decoy.leaks(place)}
    for kind in (
        "log of worker", "message in jobs", "table jobs_job", "table jobs_deadletter",
        "table notifications_webhookdelivery", "table notifications_notification",
        "admin /admin/jobs/job/", "admin /admin/jobs/deadletter/",
        "admin /admin/notifications/notification/", "API /api/v1/jobs/", "API /api/v1/syncs/",
        "API /api/v1/notifications/", "Flower /task/", "Flower /api/tasks", "mail to plain@",
        "manage.py dead_letters list",
    ):  # fmt: skip
        assert any(name.startswith(kind) for name in having), (kind, sorted(having))
    texts = dict(seen)
    assert "offload_" in texts["GET /metrics"]
    assert "secrets" in texts["manage.py doctor --json"]


def assert_mails_have_their_own(seen: list[Place], planted: Planted) -> None:
    """A link is in the mail that was sent with it, and so would have been found elsewhere."""
    texts = dict(seen)
    for name in ("plain", "whole", "abroad", "deferred", "locked-out"):
        own = {f"link of {name}": planted.secrets[f"link of {name}"]}
        assert found_in(texts[f"mail to {name}@there.example"], own)

"""Mails over a real mail server that refuses, stalls and cuts, as the API's client sees them."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness import deaths, ledger, notifying
from tests.harness.client import Client
from tests.harness.system import System
from tests.mail_server import (
    KEEP_AND_CUT,
    MailServer,
    ReceivedMail,
    mail_server,
    refuse,
    stall_at,
)
from tests.mail_server_child import Behaviour

DEADLINE_SECONDS = 2


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    with mail_server(tmp_path_factory.mktemp("mails")) as server:
        yield server


@pytest.fixture(scope="module")
def system(shared_system: System, server: MailServer) -> System:
    shared_system.env |= notifying.SENDING
    shared_system.env |= {
        "EMAIL_URL": server.url,
        "EMAIL_DEADLINE_SECONDS": str(DEADLINE_SECONDS),
        "DEFAULT_FROM_EMAIL": "Offload <offload@product.example>",
    }
    shared_system.relay()
    shared_system.worker()
    return shared_system


@pytest.fixture(scope="module")
def client(system):
    return system.web().client(system.people.acme.token)


class TestAMailServer:
    """What it does with a mail's first attempt; it accepts every further one."""

    def test_that_accepts_gets_one_mail(self, system, server, client):
        accepted = request(server, client, "accepted@there.example")

        sent = notifying.wait_for_mail(client, accepted["notification_id"])

        [mail] = mails_to(server, "accepted@there.example")
        assert id_of(mail) == message_id(accepted)
        assert mail.subject == "About accepted@there.example"
        assert "Good day" in mail.body("plain")
        assert (sent["attempts"], sent["error"]) == (1, None)

    @pytest.mark.parametrize("step", ["RCPT", "END"])
    def test_that_says_later_gets_it_once_at_the_second_attempt(self, system, server, client, step):
        to = f"later-{step.lower()}@there.example"
        accepted = request(server, client, to, refuse(step, 450, "4.2.0 Try again later"))

        sent = notifying.wait_for_mail(client, accepted["notification_id"])

        [mail] = mails_to(server, to)
        assert id_of(mail) == message_id(accepted)
        assert (sent["attempts"], sent["error"]) == (2, None)
        assert ledger.outcomes(system, accepted["job_id"]) == ["failed", "succeeded"]
        assert "450 4.2.0 Try again later" in error_of_attempt(system, accepted)

    def test_that_refuses_for_good_gets_no_second_attempt_and_leaves_a_dead_letter(
        self, system, server, client
    ):
        connections = server.connections()
        accepted = request(server, client, "no@there.example", refuse("RCPT", 550, "5.1.1 Nobody"))

        failed = notifying.wait_for_mail(client, accepted["notification_id"], "failed")

        death = deaths.wait_for_death(system, accepted["job_id"])
        assert (death.attempts, death.row.error_type) == (1, "MailRejected")
        assert (failed["attempts"], failed["settled_at"] is not None) == (1, True)
        assert "550 5.1.1 Nobody" in failed["error"]
        assert ledger.outcomes(system, accepted["job_id"]) == ["failed"]
        assert mails_to(server, "no@there.example") == []
        assert server.connections() == connections + 1

    @pytest.mark.parametrize("step", ["greeting", "DATA"])
    def test_that_stalls_is_cut_off_and_gets_it_at_the_second_attempt(
        self, system, server, client, step
    ):
        to = f"stalled-{step.lower()}@there.example"
        accepted = request(server, client, to, stall_at(step))

        sent = notifying.wait_for_mail(client, accepted["notification_id"])

        [mail] = mails_to(server, to)
        assert id_of(mail) == message_id(accepted)
        assert sent["attempts"] == 2
        assert f"over {DEADLINE_SECONDS} s in all" in error_of_attempt(system, accepted)

    def test_that_keeps_it_and_says_nothing_gets_it_twice_under_one_id(
        self, system, server, client
    ):
        accepted = request(server, client, "twice@there.example", KEEP_AND_CUT)

        sent = notifying.wait_for_mail(client, accepted["notification_id"])

        mails = mails_to(server, "twice@there.example")
        assert [id_of(mail) for mail in mails] == [message_id(accepted)] * 2
        assert all("Good day" in mail.body("plain") for mail in mails)
        assert sent["attempts"] == 2


def request(server: MailServer, client: Client, to: str, *behaviours: Behaviour) -> dict[str, Any]:
    """Ask for a mail that meets these behaviours: no other is on its way."""
    assert server.waiting() == 0
    server.next(*behaviours)
    return notifying.request_mail(client, to, subject=f"About {to}", html="<p>Good day.</p>")


def mails_to(server: MailServer, address: str) -> list[ReceivedMail]:
    return [mail for mail in server.mails() if mail.recipients == [address]]


def id_of(mail: ReceivedMail) -> str:
    """Return its Message-ID, which is too long for one line with its name: it begins the next."""
    return str(mail.message["Message-ID"]).strip()


def message_id(accepted: dict[str, Any]) -> str:
    return f"<notification-{accepted['notification_id']}@product.example>"


def error_of_attempt(system: System, accepted: dict[str, Any]) -> str:
    """Return what the ledger keeps of the first attempt."""
    query = "SELECT error_message FROM jobs_attempt WHERE job_id = %s AND attempt = 1"
    return str(system.value(query, accepted["job_id"]))

"""The SMTP backend as other code uses it, and what other backends may do in its place."""

import functools
import socket

import pytest
from django.core.mail import DNS_NAME, EmailMessage, get_connection

from notifications.channels.email.smtp import EmailBackend
from notifications.errors import DeliveryFailed
from project.services.ports import free_port
from tests.mail_server import ACCEPT, mail_server, refuse
from tests.mails import send_one, use_mail_server


@pytest.fixture
def use(settings, monkeypatch):
    """Lets the settings name a mail server."""
    return functools.partial(use_mail_server, settings, monkeypatch)


@pytest.fixture
def server(tmp_path, use):
    with mail_server(tmp_path) as server:
        use(server.url)
        yield server


class TestEmailBackend:
    def test_sends_many_mails_in_one_conversation(self, server):
        server.next(ACCEPT, refuse("RCPT", 550), ACCEPT)
        mails = [EmailMessage(f"Mail {n}", "Text", to=["ann@example.com"]) for n in range(3)]

        with get_connection() as connection:
            assert connection.send_messages(mails[:1]) == 1
            with pytest.raises(OSError, match="550"):
                connection.send_messages(mails[1:2])
            assert connection.send_messages(mails[2:]) == 1

        assert [mail.subject for mail in server.mails()] == ["Mail 0", "Mail 2"]
        assert server.connections() == 1

    @pytest.mark.parametrize(
        ("sender", "name"),
        [
            ("Offload <no-reply@bücher.example>", "xn--bcher-kva.example"),
            ("offload@localhost", "localhost"),
            ("offload@[10.0.0.1]", "localhost"),
            ("offload@two_words.example", "localhost"),
            ("Offload", "localhost"),
        ],
    )
    def test_says_its_senders_domain_and_asks_no_name_server_for_ours(
        self, server, settings, monkeypatch, sender, name
    ):
        settings.DEFAULT_FROM_EMAIL = sender
        monkeypatch.delattr(DNS_NAME, "_fqdn", raising=False)
        monkeypatch.setattr(socket, "getfqdn", lambda *_: pytest.fail("The name was looked up."))

        with EmailBackend() as backend:
            assert backend.connection
            backend.connection.ehlo()

        assert server.names() == [name]

    def test_goes_on_after_a_mail_that_can_not_be_written(self, server):
        with get_connection() as connection:
            with pytest.raises(ValueError, match="Header"):
                EmailMessage("a\nb", "Text", to=["ann@example.com"], connection=connection).send()
            EmailMessage("b", "Text", to=["ann@example.com"], connection=connection).send()

        assert [mail.subject for mail in server.mails()] == ["b"]

    def test_is_silent_if_it_was_asked_to_be(self, use):
        use(f"smtp://127.0.0.1:{free_port()}")
        mail = EmailMessage("Subject", "Text", to=["ann@example.com"])

        assert mail.send(fail_silently=True) == 0

    def test_that_sent_nothing_is_no_success(self, settings):
        settings.EMAIL_BACKEND = f"{__name__}.Lazy"

        with pytest.raises(DeliveryFailed, match="did not send"):
            send_one()

    @pytest.mark.parametrize("kind", ["locmem", "console", "dummy", "filebased"])
    def test_may_be_any_other_one_of_django(self, settings, tmp_path, kind):
        settings.EMAIL_BACKEND = f"django.core.mail.backends.{kind}.EmailBackend"
        settings.EMAIL_FILE_PATH = tmp_path

        send_one()

    def test_of_other_makers_raises_what_it_likes(self, settings):
        settings.EMAIL_BACKEND = f"{__name__}.Strange"

        with pytest.raises(KeyError, match="quota"):
            send_one()


class Lazy:
    """A backend that sends nothing and says so."""

    def __init__(self, **_):
        pass

    def send_messages(self, mails):
        return 0


class Strange(Lazy):
    def send_messages(self, mails):
        raise KeyError("quota")

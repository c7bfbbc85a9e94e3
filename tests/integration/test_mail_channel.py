"""The e-mail channel against a real SMTP server that accepts mails and refuses them."""

import functools
import traceback
import uuid

import pytest

from notifications.channels.email.message import message_id_of
from notifications.errors import DeliveryFailed, MailRejected
from tests.mail_server import ACCEPT, KEEP_AND_CUT, cut_at, mail_server, refuse
from tests.mails import HTML, MESSAGE_ID, SUBJECT, send_one, use_mail_server

LOGIN = "offload:secret"
TOKEN = "inv_Zq3xV9Lk0aB7-_cD2eF5gH8iJ1kL4mN6oP0qR2sT4uV"


@pytest.fixture
def use(settings, monkeypatch):
    """Lets the settings name a mail server."""
    return functools.partial(use_mail_server, settings, monkeypatch)


@pytest.fixture
def server(tmp_path, use):
    with mail_server(tmp_path) as server:
        use(server.url)
        yield server


class TestSend:
    def test_delivers_text_and_html_with_an_envelope_of_our_own(self, server):
        send_one()

        (mail,) = server.mails()
        assert (mail.sender, mail.recipients) == ("offload@offload.example", ["ann@example.com"])
        assert mail.message.get_content_type() == "multipart/alternative"
        kinds = [part.get_content_type() for part in mail.message.iter_parts()]
        assert kinds == ["text/plain", "text/html"]  # The last is the best one (RFC 2046).
        assert mail.body("plain").strip() == "Ready\n\nFetch it here (https://example.com/x)."
        assert mail.body("html").strip() == HTML

    def test_says_who_sent_it_and_that_nobody_need_answer(self, server):
        send_one()

        message = server.mails()[0].message
        assert message["From"] == "Offload <offload@offload.example>"
        assert message["To"] == "ann@example.com"
        assert server.mails()[0].subject == SUBJECT
        assert message["Message-ID"] == MESSAGE_ID
        assert message["Auto-Submitted"] == "auto-generated"
        assert message["Date"]

    @pytest.mark.parametrize(
        "subject",
        [
            "Grüße aus Köln – Ihr Export „Lampen“ ist fertig",
            "準備ができました。" * 20,
            "👩‍👩‍👧 تقرير جاهز",
            "a" * 200,
            "word " * 39 + "ends",
        ],
    )
    def test_brings_a_subject_whole(self, server, subject):
        send_one(subject=subject)

        assert server.mails()[0].subject == subject

    def test_writes_to_a_domain_of_other_letters_in_its_ascii_form(self, server):
        send_one(to="ann@Bücher.example")

        (mail,) = server.mails()
        assert mail.recipients == ["ann@xn--bcher-kva.example"]
        assert mail.message["To"] == "ann@xn--bcher-kva.example"

    @pytest.mark.parametrize(
        "html",
        [
            "<p>" + "long " * 5_000 + "</p>",
            "<p>" + "ü" * 20_000 + "</p>",
            "<p>form\x0cfeed" + "x" * 1_500 + "</p>",
            "<p>one</p>\n.\n<p>two</p>",
            "<p>one</p>\r\n.\r\nMAIL FROM:<eve@example.com>\r\n",
            "<p>one</p>\r.\rQUIT\r",
            "From here on\n..dots\n",
            "<p>" + "ab é" * 50_000 + "</p>",
        ],
        ids=["long", "umlauts", "form-feed", "dot", "smuggled", "bare-returns", "from", "large"],
    )
    def test_brings_html_whole_in_lines_that_any_server_takes(self, server, html):
        send_one(html=html)

        (mail,) = server.mails()
        assert mail.body("html").split() == html.split()
        assert mail.raw.isascii()
        assert max(map(len, mail.raw.split(b"\r\n"))) <= 998

    def test_is_the_same_mail_on_every_attempt(self, server):
        server.next(KEEP_AND_CUT)
        with pytest.raises(DeliveryFailed):
            send_one()

        send_one()

        first, second = server.mails()
        assert first.message["Message-ID"] == second.message["Message-ID"] == MESSAGE_ID
        assert first.body("html") == second.body("html")

    def test_meets_the_behaviours_of_a_server_in_their_order(self, server):
        server.next(refuse("RCPT", 450), cut_at("DATA"), ACCEPT, refuse("END", 554))

        for fault in (DeliveryFailed, DeliveryFailed, None, MailRejected, None):
            if fault:
                with pytest.raises(fault):
                    send_one()
            else:
                send_one()

        assert (len(server.mails()), server.connections(), server.waiting()) == (2, 5, 0)


class TestRefusal:
    @pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "END"])
    @pytest.mark.parametrize("code", [550, 552, 554])
    def test_is_final_if_the_server_says_so_of_this_mail(self, server, step, code):
        server.next(refuse(step, code, "5.1.1 No such mailbox"))

        with pytest.raises(MailRejected, match=f"^{code} 5.1.1 No such mailbox$"):
            send_one()

        assert server.mails() == []

    @pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "END"])
    @pytest.mark.parametrize("code", [421, 450, 451, 452])
    def test_is_for_now_if_the_server_says_so(self, server, step, code):
        server.next(refuse(step, code, "4.2.1 Come again"))

        with pytest.raises(DeliveryFailed, match=f"^{code} 4.2.1 Come again$"):
            send_one()

        send_one()
        assert len(server.mails()) == 1

    @pytest.mark.parametrize("code", [421, 554])
    def test_at_the_greeting_is_not_about_this_mail(self, server, code):
        server.next(refuse("greeting", code, "No service"))

        with pytest.raises(DeliveryFailed, match=f"{code} No service"):
            send_one()

    def test_is_told_in_one_line_of_300_characters_at_most(self, server):
        server.next(refuse("RCPT", 550, "5.7.1 \tread\x07 this: " + "x" * 400))

        with pytest.raises(MailRejected) as refused:
            send_one()

        text = str(refused.value)
        assert text.startswith("550 5.7.1 read this: xxx")
        assert (len(text), text.isprintable()) == (300, True)

    @pytest.mark.parametrize("step", ["greeting", "MAIL", "RCPT", "END"])
    @pytest.mark.parametrize("code", [421, 554])
    def test_that_quotes_the_mail_is_told_without_its_link(self, server, step, code):
        # Given a filter that does not like a link, and says which
        link = f"https://offload.example/invitations/accept?token={TOKEN}"
        server.next(refuse(step, code, f"5.7.1 listed URL {link} found\n5.7.1 id {TOKEN}"))

        # When a mail with this link is refused
        with pytest.raises((MailRejected, DeliveryFailed)) as refused:
            send_one(html=f"<a href='{link}'>Join</a>")

        # Then neither the error nor the traceback that is stored with it has the token
        told = "".join(traceback.format_exception(refused.value))
        assert f"{code} 5.7.1 listed URL [link] found 5.7.1 id [token]" in str(refused.value)
        assert TOKEN not in told
        assert "invitations/accept" not in told

    def test_of_several_lines_is_told_in_one(self, server):
        server.next(refuse("END", 554, "5.7.1 No.\n5.7.1 See our pages."))

        with pytest.raises(MailRejected, match="^554 5.7.1 No. 5.7.1 See our pages.$"):
            send_one()

    @pytest.mark.parametrize(
        "changes",
        [
            {"subject": "Ready\r\nBcc: eve@example.com"},
            {"subject": "Ready\nBcc: eve@example.com"},
            {"subject": "Ready\u2028Bcc: eve@example.com"},
            {"to": "ann@example.com\r\nBcc: eve@example.com"},
            {"to": "ann@example.com\u2028"},
            {"to": "ann@example.com, eve@example.com"},
            {"message_id": "<1@example.com>\r\nBcc: eve@example.com"},
            {"html": "<p>\ud800</p>"},
            {"html": " "},
        ],
    )
    def test_is_ours_if_it_is_no_mail_and_the_server_is_not_asked(self, server, changes):
        with pytest.raises(MailRejected) as refused:
            send_one(**changes)

        assert "eve" not in str(refused.value)
        assert server.connections() == 0


class TestLogin:
    @pytest.fixture
    def server(self, tmp_path, use):
        with mail_server(tmp_path, login=LOGIN) as server:
            use(server.url)
            yield server

    def test_is_done_with_the_name_and_password_of_the_url(self, server):
        send_one()

        assert len(server.mails()) == 1

    @pytest.mark.parametrize(
        ("user", "answer"), [("offload:wrong@", "535"), ("", "530")], ids=["wrong", "none"]
    )
    def test_that_fails_is_not_the_fault_of_the_mail(self, server, use, user, answer):
        use(server.url.replace(f"{LOGIN}@", user))

        with pytest.raises(DeliveryFailed, match=answer) as failed:
            send_one()

        assert "wrong" not in str(failed.value)

    def test_at_a_server_that_knows_none_is_not_the_fault_of_the_mail(self, tmp_path, use):
        with mail_server(tmp_path / "open") as server:
            server.next(refuse("AUTH", 504, "Unrecognized authentication type"))
            use(server.url.replace("smtp://", f"smtp://{LOGIN}@"))

            with pytest.raises(DeliveryFailed, match="504"):
                send_one()


class TestMessageId:
    def test_is_that_of_the_notification_at_the_domain_of_the_sender(self, settings):
        settings.DEFAULT_FROM_EMAIL = "Offload <no-reply@bücher.example>"
        notification = uuid.UUID(int=7)

        assert message_id_of(notification) == message_id_of(notification)
        assert message_id_of(notification) == (
            "<notification-00000000-0000-0000-0000-000000000007@xn--bcher-kva.example>"
        )

"""The e-mail channel against a real SMTP server that stalls, drips and hangs up."""

import errno
import functools
import os
import socket
import threading

import pytest
from django.core.mail import EmailMessage

from notifications.errors import DeliveryFailed
from project.services.ports import free_port
from tests.harness.waiting import wait_for
from tests.mail_server import ACCEPT, DRIP, KEEP_AND_CUT, cut_at, mail_server, refuse, stall_at
from tests.mails import send_one, use_mail_server
from tests.webhook_certificates import Authority


@pytest.fixture
def use(settings, monkeypatch):
    """Lets the settings name a mail server."""
    return functools.partial(use_mail_server, settings, monkeypatch)


@pytest.fixture
def server(tmp_path, use):
    with mail_server(tmp_path) as server:
        use(server.url)
        yield server


@pytest.fixture
def hasty(settings):
    """A total limit that is over soon, and one for each read that never is."""
    settings.EMAIL_DEADLINE_SECONDS = 1
    settings.EMAIL_TIMEOUT = 120
    return settings


class TestBrokenConnection:
    @pytest.mark.parametrize("step", ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "END"])
    def test_before_the_answer_to_the_mail_is_a_failure(self, server, step):
        server.next(cut_at(step))

        with pytest.raises(DeliveryFailed, match="Connection unexpectedly closed"):
            send_one()

        assert server.mails() == []

    @pytest.mark.parametrize("half", ["55", "250", "250 2.0.0 Ok"])
    def test_in_the_middle_of_an_answer_is_no_answer(self, use, half):
        with socket.create_server(("127.0.0.1", 0)) as stranger:
            use(f"smtp://127.0.0.1:{stranger.getsockname()[1]}")
            answers = [b"220 hi\r\n", b"250 hi\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"]
            speaking = threading.Thread(target=speak, args=(stranger, [*answers, half.encode()]))
            speaking.start()

            with pytest.raises(DeliveryFailed, match="Connection unexpectedly closed"):
                send_one()
            speaking.join(60)

    def test_after_a_mail_was_kept_brings_it_twice_rather_than_never(self, server):
        server.next(KEEP_AND_CUT)

        with pytest.raises(DeliveryFailed):
            send_one()

        assert len(server.mails()) == 1

    @pytest.mark.parametrize(
        "behaviour", [cut_at("QUIT"), refuse("QUIT", 421), refuse("QUIT", 554)]
    )
    def test_at_the_goodbye_is_no_failure(self, server, behaviour):
        server.next(behaviour)

        send_one()

        assert len(server.mails()) == 1

    def test_by_nobody_listening_is_a_failure(self, use):
        use(f"smtp://127.0.0.1:{free_port()}")

        with pytest.raises(DeliveryFailed, match=os.strerror(errno.ECONNREFUSED)):
            send_one()

    @pytest.mark.parametrize(
        "fault",
        [
            OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH)),
            OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH)),
            OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL)),
        ],
        ids=lambda fault: errno.errorcode[fault.errno],
    )
    def test_by_the_lack_of_a_route_is_a_failure(self, use, monkeypatch, fault):
        def fail(*_):
            raise fault

        use("smtp://127.0.0.1:25")
        monkeypatch.setattr(socket.socket, "connect", fail)

        with pytest.raises(DeliveryFailed, match=f"was not reached: .*{fault.strerror}"):
            send_one()

    def test_by_an_address_that_is_no_hosts_is_a_failure(self, use):
        use("smtp://127.255.255.255:25")  # Of loopback's broadcast.

        with pytest.raises(DeliveryFailed, match="^The mail server was not reached: "):
            send_one()

    def test_by_a_name_that_leads_nowhere_is_a_failure(self, use, monkeypatch):
        use("smtp://mail.test:25")
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])

        with pytest.raises(DeliveryFailed, match="mail.test has no address"):
            send_one()

    def test_by_a_name_that_can_be_none_is_a_failure(self, use, settings):
        use("smtp://mail.test:25")
        settings.EMAIL_HOST = "a" * 64 + ".test"

        with pytest.raises(DeliveryFailed, match="^The mail server was not reached: "):
            send_one()

    def test_by_a_name_without_an_address_is_a_failure(self, use):
        use("smtp://mail.invalid:25")

        with pytest.raises(DeliveryFailed, match="^The mail server was not reached: "):
            send_one()


class TestDeadline:
    @pytest.mark.parametrize("step", ["greeting", "EHLO", "MAIL", "RCPT", "DATA", "END"])
    def test_ends_a_conversation_that_stalls(self, server, hasty, step):
        server.next(stall_at(step))

        with pytest.raises(DeliveryFailed, match="^The mail server took over 1 s in all.$"):
            send_one()

        assert server.mails() == []

    def test_ends_one_that_goes_on_byte_by_byte(self, server, hasty):
        hasty.EMAIL_DEADLINE_SECONDS = 2
        server.next(DRIP)

        with pytest.raises(DeliveryFailed, match="^The mail server took over 2 s in all.$"):
            send_one()

    def test_holds_for_a_machine_that_hangs(self, server, hasty):
        server.pause()
        try:
            with pytest.raises(DeliveryFailed, match="^The mail server took over 1 s in all.$"):
                send_one()
        finally:
            server.resume()

    def test_holds_while_nobody_takes_the_connection(self, use, hasty):
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
            waiting = [socket.socket() for _ in range(3)]
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(full.getsockname())
            use(f"smtp://127.0.0.1:{full.getsockname()[1]}")

            with pytest.raises(DeliveryFailed, match="^The mail server took over 1 s in all.$"):
                send_one()
            for each in waiting:
                each.close()

    def test_that_is_over_at_the_goodbye_does_not_send_a_mail_again(self, server, hasty):
        hasty.EMAIL_DEADLINE_SECONDS = 5  # Enough for all that comes before.
        server.next(stall_at("QUIT"))

        send_one()

        assert len(server.mails()) == 1

    def test_is_not_the_limit_of_each_read(self, server, settings):
        settings.EMAIL_TIMEOUT = 1
        settings.EMAIL_DEADLINE_SECONDS = 120
        server.next(stall_at("RCPT"))

        with pytest.raises(DeliveryFailed, match="timed out"):
            send_one()

    def test_holds_in_threads_that_are_not_the_first(self, server, hasty):
        server.next(stall_at("END"), stall_at("EHLO"), DRIP)
        faults = []

        def attempt():
            try:
                send_one()
            except DeliveryFailed as fault:
                faults.append(str(fault))

        threads = [threading.Thread(target=attempt) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        assert faults == ["The mail server took over 1 s in all."] * 3

    def test_leaves_no_connection_and_no_thread_behind(self, server, hasty):
        hasty.EMAIL_DEADLINE_SECONDS = 5  # Enough for the mail that is accepted.
        server.next(stall_at("EHLO"), cut_at("DATA"), ACCEPT)
        sockets = open_sockets()

        for _ in range(2):
            with pytest.raises(DeliveryFailed):
                send_one()
        send_one()

        wait_for(lambda: open_sockets() == sockets, 30, "all sockets were closed")
        wait_for(lambda: not limits_that_run(), 30, "all timers ended")

    def test_is_for_mails_that_other_code_sends_too(self, server, hasty):
        server.next(stall_at("DATA"))

        with pytest.raises(TimeoutError, match="^The mail server took over 1 s in all.$"):
            EmailMessage("Beat is silent", "Start it.", to=["ops@example.com"]).send()


class TestTls:
    @pytest.fixture
    def authority(self, tmp_path, monkeypatch):
        authority = Authority(tmp_path)
        authority.server("localhost")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
        return authority

    @pytest.fixture(params=["smtp+tls", "smtp+ssl"])
    def scheme(self, request):
        return request.param

    @pytest.fixture
    def server(self, tmp_path, authority, use, scheme):
        certificate = tmp_path / "localhost.pem"
        at_once = scheme == "smtp+ssl"
        with mail_server(tmp_path, certificate=certificate, tls_at_once=at_once) as server:
            use(f"{scheme}://localhost:{server.port}")
            yield server

    def test_carries_a_mail(self, server):
        send_one()

        assert len(server.mails()) == 1

    @pytest.mark.parametrize("behaviour", [stall_at("RCPT"), DRIP], ids=["stall", "drip"])
    def test_is_under_the_deadline_too(self, server, hasty, behaviour):
        hasty.EMAIL_DEADLINE_SECONDS = 2
        server.next(behaviour)

        with pytest.raises(DeliveryFailed, match="^The mail server took over 2 s in all.$"):
            send_one()

    def test_does_not_lose_a_mail_to_the_goodbye(self, server, settings):
        settings.EMAIL_TIMEOUT = 2
        server.next(cut_at("QUIT"), stall_at("QUIT"))

        send_one()
        send_one()

        assert len(server.mails()) == 2

    def test_with_a_stranger_is_a_failure(self, server, monkeypatch):
        monkeypatch.delenv("SSL_CERT_FILE")

        with pytest.raises(DeliveryFailed, match="certificate verify failed"):
            send_one()

        assert server.mails() == []

    def test_that_the_server_does_not_offer_is_a_failure_of_the_settings(self, tmp_path, use):
        with mail_server(tmp_path / "plain") as plain:
            use(f"smtp+tls://localhost:{plain.port}")

            with pytest.raises(DeliveryFailed, match="STARTTLS extension not supported"):
                send_one()

    def test_handshake_is_under_the_deadline(self, authority, use, hasty, scheme):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            use(f"{scheme}://localhost:{silent.getsockname()[1]}")

            with pytest.raises(DeliveryFailed, match="^The mail server took over 1 s in all.$"):
                send_one()


def speak(listener, answers):
    """Give answers to whatever comes, the last one after a mail's end, and hang up."""
    connection, _ = listener.accept()
    with connection:
        for answer in answers[:-1]:
            connection.sendall(answer)
            heard = connection.recv(100_000)
        while not heard.endswith(b"\r\n.\r\n"):
            heard += connection.recv(100_000)
        connection.sendall(answers[-1])


def open_sockets():
    """Return how many sockets this process has open."""
    return sum(kind.startswith("socket:") for kind in map(target, os.listdir("/proc/self/fd")))


def target(number):
    try:
        return os.readlink(f"/proc/self/fd/{number}")
    except FileNotFoundError:  # The folder's own.
        return ""


def limits_that_run():
    return [each for each in threading.enumerate() if isinstance(each, threading.Timer)]

"""A webhook's receiver proves by its certificate that it is the host of the URL."""

import gc
import socket
from ipaddress import ip_network

import pytest

from notifications.channels.webhook import sending
from notifications.channels.webhook.sending import Answer, post
from notifications.errors import DeliveryFailed
from tests.webhook_certificates import Authority, self_signed
from tests.webhook_receiver import webhook_receiver

HOST = "hooks.example.test"


@pytest.fixture(autouse=True)
def loopback_is_trusted(settings):
    settings.NOTIFICATIONS_TRUSTED_NETWORKS = (ip_network("127.0.0.0/8"),)
    settings.NOTIFICATIONS_DELIVERY_SECONDS = 20


@pytest.fixture
def authority(tmp_path, monkeypatch):
    """An authority that this process trusts, and no other."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
    sending._tls.cache_clear()
    yield authority
    sending._tls.cache_clear()


def send(port: int) -> Answer:
    return post(
        f"https://{HOST}:{port}/SECRET",
        headers={},
        body=b"{}",
        resolve=lambda host, port: ["127.0.0.1"],
    )


def ends(connection: socket.socket) -> bool:
    """Say whether the other end closes; waits for the connection's timeout at most."""
    try:
        while connection.recv(65_536):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


class TestCertificate:
    def test_is_checked_against_the_name_in_the_url(self, authority):
        # Given a receiver whose certificate holds for the URL's name, at an address we checked
        with webhook_receiver(tls=authority.server(HOST)) as receiver:
            # When a webhook is sent, then it arrives, and the name was asked for
            assert send(receiver.port).is_success
            assert receiver.server_names == [HOST]
            assert receiver.requests[0].headers["host"] == f"{HOST}:{receiver.port}"

    def test_of_another_name_is_refused(self, authority):
        with webhook_receiver(tls=authority.server("other.example.test")) as receiver:
            with pytest.raises(DeliveryFailed, match="Hostname mismatch") as failure:
                send(receiver.port)
            assert receiver.requests == []
            assert "SECRET" not in str(failure.value)

    def test_of_the_address_alone_is_refused(self, authority):
        with webhook_receiver(tls=authority.server("127.0.0.1")) as receiver:
            with pytest.raises(DeliveryFailed, match="not trusted"):
                send(receiver.port)
            assert receiver.requests == []

    def test_that_vouches_for_itself_is_refused(self, tmp_path):
        with webhook_receiver(tls=self_signed(tmp_path, HOST)) as receiver:
            with pytest.raises(DeliveryFailed, match=f"{HOST} has a certificate .* self-signed"):
                send(receiver.port)
            assert receiver.requests == []

    def test_of_an_unknown_authority_is_refused(self, tmp_path):
        with webhook_receiver(tls=Authority(tmp_path).server(HOST)) as receiver:
            with pytest.raises(DeliveryFailed, match="not trusted"):
                send(receiver.port)
            assert receiver.requests == []


class TestHandshake:
    def test_that_hangs_meets_the_deadline_and_leaves_no_connection_open(self, settings):
        # Given a server that takes the connection and never says a word, and no garbage collector
        settings.NOTIFICATIONS_DELIVERY_SECONDS = 0.3
        gc.disable()
        try:
            with socket.create_server(("127.0.0.1", 0)) as silent:
                # When a webhook meets its deadline
                with pytest.raises(DeliveryFailed, match=f"{HOST} gave no whole answer"):
                    send(silent.getsockname()[1])

                # Then our end is closed
                connection, _ = silent.accept()
                with connection:
                    connection.settimeout(20)
                    assert ends(connection)
        finally:
            gc.enable()

    def test_with_a_server_that_knows_no_tls_fails(self):
        with (
            webhook_receiver() as receiver,
            pytest.raises(DeliveryFailed, match=f"{HOST} .*TLS"),
        ):
            send(receiver.port)


class TestMisbehaviour:
    @pytest.mark.parametrize(
        ("behaviour", "reason"),
        [("reset", HOST), ("cut", "complete message body"), ("garbage", "illegal status line")],
    )
    def test_is_a_failed_delivery_by_tls_too(self, authority, behaviour, reason):
        with (
            webhook_receiver(tls=authority.server(HOST), answers=[behaviour]) as receiver,
            pytest.raises(DeliveryFailed, match=reason),
        ):
            send(receiver.port)

    def test_of_an_endless_answer_is_broken_off_by_tls_too(self, authority):
        with webhook_receiver(tls=authority.server(HOST), answers=["endless"]) as receiver:
            assert "over 65,536 bytes" in send(receiver.port).fault
            assert receiver.bytes_sent < 32_000_000

"""Nothing is sent to an address that is not allowed, whatever a URL or a name server says."""

import asyncio
import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from ipaddress import ip_network

import httpcore2
import pytest

from jobs.errors import GiveUp
from notifications.channels.webhook.resolver import Resolver
from notifications.channels.webhook.sending import post
from notifications.channels.webhook.transport import ADDRESSES_TRIED_MAX, GuardedBackend
from notifications.errors import AddressRefused, DeliveryFailed, NameLedAstray
from tests.webhook_hostile import ADDRESSES, ANSWERS, NAMES, PUBLIC, PUBLIC_V6, SPELLINGS
from tests.webhook_receiver import WebhookReceiver, webhook_receiver


@pytest.fixture(scope="module")
def canaries() -> Iterator[list[WebhookReceiver]]:
    """Receivers on one port of both loopbacks that nothing may connect to."""
    with ExitStack() as stack:
        first = stack.enter_context(webhook_receiver())
        second = stack.enter_context(webhook_receiver(host="::1", port=first.port))
        yield [first, second]


@pytest.fixture
def port(canaries, settings) -> Iterator[str]:
    """The canaries' port, which is allowed: no test may pass because of it alone."""
    settings.NOTIFICATIONS_TRUSTED_NETWORKS = ()
    settings.NOTIFICATIONS_PORTS = frozenset({canaries[0].port})
    settings.NOTIFICATIONS_DELIVERY_SECONDS = 5
    before = [canary.connections for canary in canaries]
    yield str(canaries[0].port)
    assert [canary.connections for canary in canaries] == before


class NameServer:
    """Answers each question with the next of its answers, and the last for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = itertools.chain(answers, itertools.repeat(answers[-1]))
        self.questions: list[tuple[str, int]] = []

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.questions.append((host, port))
        return next(self._answers)


@pytest.fixture
def dialled(monkeypatch) -> list[str]:
    """The addresses that would be connected to; none accepts. Public ones are far from a test."""
    dialled: list[str] = []

    async def connect_tcp(_: object, host: str, *__: object) -> None:
        dialled.append(host)
        raise httpcore2.ConnectError

    monkeypatch.setattr(httpcore2.AnyIOBackend, "connect_tcp", connect_tcp)
    return dialled


def send(url: str, **resolver: Resolver) -> None:
    post(url, headers={}, body=b"{}", **resolver)


class TestCanary:
    def test_would_hear_a_webhook_if_it_were_let_through(self, port, canaries, settings):
        settings.NOTIFICATIONS_TRUSTED_NETWORKS = (ip_network("127.0.0.0/8"), ip_network("::1"))
        with ExitStack() as stack:
            # Given two other receivers on both loopbacks
            v4 = stack.enter_context(webhook_receiver())
            v6 = stack.enter_context(webhook_receiver(host="::1"))

            # When nothing guards them, then they hear from us
            send(v4.url)
            send(v6.url)
            send(f"http://localhost:{v4.port}/", resolve=NameServer(["127.0.0.1"]))
            assert (len(v4.requests), len(v6.requests)) == (2, 1)
            assert v6.requests[0].headers["host"] == f"[::1]:{v6.port}"


class TestPost:
    """The edge is bypassed: each of these could be stored, or come out of a name server."""

    @pytest.mark.parametrize(("url", "word"), ADDRESSES + SPELLINGS)
    def test_sends_nothing_to_a_hostile_url(self, port, url, word):
        with pytest.raises(AddressRefused, match=word):
            send(url.replace("{port}", port))

    @pytest.mark.parametrize(("host", "address", "word"), NAMES)
    def test_sends_nothing_to_a_name_of_the_local_network(self, port, host, address, word):
        with pytest.raises(NameLedAstray, match=word):
            send(f"https://{host}:{port}/", resolve=NameServer([address]))

    @pytest.mark.parametrize("host", ["localhost", "localhost."])
    def test_sends_nothing_where_the_system_itself_says_loopback(self, port, host):
        with pytest.raises(NameLedAstray, match="localhost leads to loopback"):
            send(f"https://{host}:{port}/")

    @pytest.mark.parametrize(("answer", "word"), ANSWERS)
    def test_sends_nothing_if_one_answer_of_the_name_server_is_hostile(
        self, port, dialled, answer, word
    ):
        with pytest.raises(NameLedAstray, match=word) as refusal:
            send(f"https://hooks.example.com:{port}/SECRET?SECRET", resolve=NameServer(answer))
        assert dialled == []
        assert str(refusal.value).startswith("hooks.example.com ")
        assert "SECRET" not in str(refusal.value)

    def test_sends_nothing_by_http_to_a_public_address(self, port, dialled):
        with pytest.raises(NameLedAstray, match="https alone"):
            send(f"http://hooks.example.com:{port}/", resolve=NameServer([PUBLIC]))
        assert dialled == []

    @pytest.mark.parametrize("number", [22, 25, 80, 6379, 65535])
    def test_sends_nothing_to_a_port_that_is_not_allowed(self, port, dialled, number):
        with pytest.raises(NameLedAstray, match=f"port {number}"):
            send(f"https://hooks.example.com:{number}/", resolve=NameServer([PUBLIC]))
        assert dialled == []

    def test_connects_to_public_addresses(self, port, dialled):
        with pytest.raises(DeliveryFailed, match="accepts no connection"):
            send(f"https://hooks.example.com:{port}/", resolve=NameServer([PUBLIC_V6, PUBLIC]))
        assert dialled == [PUBLIC_V6, PUBLIC]

    def test_tries_a_few_of_many_addresses(self, port, dialled):
        many = NameServer([f"93.184.215.{last}" for last in range(100)])
        with pytest.raises(DeliveryFailed):
            send(f"https://hooks.example.com:{port}/", resolve=many)
        assert len(dialled) == ADDRESSES_TRIED_MAX


class TestRebinding:
    def test_is_no_use_after_the_first_answer(self, port, dialled):
        # Given a name server whose second answer would be loopback
        server = NameServer([PUBLIC], ["127.0.0.1"])

        # When the first is allowed, then that address is used and no other question asked
        with pytest.raises(DeliveryFailed):
            send(f"https://hooks.example.com:{port}/", resolve=server)
        assert dialled == [PUBLIC]
        assert server.questions == [("hooks.example.com", int(port))]

    def test_is_no_use_before_the_second_answer(self, port, dialled):
        server = NameServer(["127.0.0.1"], [PUBLIC])
        with pytest.raises(NameLedAstray, match="loopback"):
            send(f"https://hooks.example.com:{port}/", resolve=server)
        assert dialled == []
        assert len(server.questions) == 1

    def test_costs_an_attempt_and_the_next_one_asks_anew(self, port, dialled):
        # Given a name server with one bad answer
        server = NameServer(["127.0.0.1"], [PUBLIC])
        with pytest.raises(NameLedAstray) as led:
            send(f"https://hooks.example.com:{port}/", resolve=server)

        # When the delivery is tried again, as its error allows, then its answer is used
        assert not isinstance(led.value, GiveUp)
        with pytest.raises(DeliveryFailed, match="accepts no connection"):
            send(f"https://hooks.example.com:{port}/", resolve=server)
        assert dialled == [PUBLIC]

    def test_is_no_use_between_real_sockets(self, port, settings):
        # Given a receiver at an address that is allowed, on the port of a canary that is not
        settings.NOTIFICATIONS_TRUSTED_NETWORKS = (ip_network("127.0.0.2/32"),)
        with webhook_receiver(host="127.0.0.2", port=int(port)) as receiver:
            # When the name server changes its mind after the first answer
            send(
                f"http://hooks.example.com:{port}/",
                resolve=NameServer(["127.0.0.2"], ["127.0.0.1"]),
            )

            # Then the receiver has the webhook, under the name of its URL
            [request] = receiver.requests
            assert request.headers["host"] == f"hooks.example.com:{port}"


class TestTrustedNetworks:
    def test_open_nothing_to_an_address_in_the_url(self, port, settings):
        settings.NOTIFICATIONS_TRUSTED_NETWORKS = (ip_network("127.0.0.2/32"),)
        settings.NOTIFICATIONS_PORTS = frozenset({443})
        for url, word in ((f"http://{PUBLIC}/", "https alone"), (f"https://{PUBLIC}:22/", "port")):
            with pytest.raises(AddressRefused, match=word):
                send(url)

    def test_open_nothing_else(self, port, settings):
        settings.NOTIFICATIONS_TRUSTED_NETWORKS = (ip_network("127.0.0.2/32"),)
        for answer in (["127.0.0.1"], ["127.0.0.2", "127.0.0.1"], ["::ffff:127.0.0.2"]):
            with pytest.raises(NameLedAstray):
                send(f"http://hooks.example.com:{port}/", resolve=NameServer(answer))

    def test_let_the_next_address_be_tried(self, settings):
        # Given a name with two addresses, of which the second has a receiver
        settings.NOTIFICATIONS_TRUSTED_NETWORKS = (ip_network("127.0.0.0/8"),)
        with webhook_receiver(host="127.0.0.3") as receiver:
            url = f"http://hooks.example.com:{receiver.port}/"

            # When the first refuses the connection, then the second has the webhook
            send(url, resolve=NameServer(["127.0.0.2", "127.0.0.3"]))
            assert len(receiver.requests) == 1


class TestNameServer:
    def test_that_hangs_meets_the_deadline(self, settings):
        # Given a name server that never answers
        settings.NOTIFICATIONS_DELIVERY_SECONDS = 0.3
        released = threading.Event()

        def hang(host: str, port: int) -> list[str]:
            released.wait()
            return ["127.0.0.1"]

        # When a webhook is sent, then the attempt ends: this test would else hang
        with pytest.raises(DeliveryFailed, match="within 0.3 s"):
            send("https://hooks.example.com/", resolve=hang)
        [asking] = [each for each in threading.enumerate() if each.name == "webhook-resolver"]
        assert asking.daemon

        # And its late answer is heard by nobody
        released.set()
        asking.join()

    @pytest.mark.parametrize("fault", [OSError("down"), UnicodeError("label too long")])
    def test_that_fails_is_a_failed_delivery(self, fault):
        def fail(host: str, port: int) -> list[str]:
            raise fault

        with pytest.raises(DeliveryFailed, match="The name hooks.example.com has no address"):
            send("https://hooks.example.com/", resolve=fail)

    def test_that_knows_no_address_is_a_failed_delivery(self):
        with pytest.raises(DeliveryFailed, match="has no address"):
            send("https://hooks.example.com/", resolve=NameServer([]))


class TestGuardedBackend:
    def test_refuses_unix_sockets(self):
        backend = GuardedBackend(NameServer([]), is_encrypted=False)
        with pytest.raises(AddressRefused, match="Unix socket"):
            asyncio.run(backend.connect_unix_socket("/var/run/docker.sock"))

"""Webhooks sent over real sockets to receivers that behave, and to those that do not."""

import contextlib
import threading
import tracemalloc
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network

import pytest

from notifications.channels.webhook.sending import ANSWER_MAX_BYTES, Answer, post
from notifications.errors import DeliveryFailed
from tests.webhook_receiver import Scripted, webhook_receiver

BODY = '{"type":"export.succeeded", "name":"Zoë"}\n'.encode()
MEGABYTE = 1_000_000
#: What two kernels' buffers may hold, and more; an endless answer has 10 GB.
SENT_MOST_BYTES = 32 * MEGABYTE


@pytest.fixture(autouse=True)
def loopback_is_trusted(settings):
    settings.NOTIFICATIONS_TRUSTED_NETWORKS = (ip_network("127.0.0.0/8"),)
    settings.NOTIFICATIONS_DELIVERY_SECONDS = 20


@pytest.fixture
def short_deadline(settings):
    settings.NOTIFICATIONS_DELIVERY_SECONDS = 0.5


@pytest.fixture
def receiver():
    with webhook_receiver() as receiver:
        yield receiver


def send(url: str, **headers: str) -> Answer:
    return post(url, headers=headers, body=BODY)


class TestRequest:
    def test_arrives_byte_for_byte(self, receiver):
        # When a webhook is sent
        answer = post(
            f"{receiver.url}/a%2fb?key=1",
            headers={"webhook-id": "msg_1", "webhook-signature": "v1,a= v1,b="},
            body=BODY,
        )

        # Then the receiver has one request, with our bytes and headers and no others
        [request] = receiver.requests
        assert answer.is_success
        assert request.path == "/hooks/a%2fb?key=1"
        assert request.body == BODY
        assert request.headers == {
            "host": f"127.0.0.1:{receiver.port}",
            "content-type": "application/json",
            "content-length": str(len(BODY)),
            "accept-encoding": "identity",
            "user-agent": "Offload",
            "connection": "close",
            "webhook-id": "msg_1",
            "webhook-signature": "v1,a= v1,b=",
        }

    def test_lets_nobody_change_what_frames_it(self, receiver):
        send(receiver.url, Host="evil.example", CONNECTION="upgrade", **{"Content-Length": "0"})
        [request] = receiver.requests
        assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
        assert request.headers["connection"] == "close"
        assert request.body == BODY

    def test_uses_a_connection_of_its_own(self, receiver):
        send(receiver.url)
        send(receiver.url)
        assert receiver.connections == 2

    @pytest.mark.parametrize("variable", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"])
    def test_goes_through_no_proxy_of_the_environment(self, receiver, monkeypatch, variable):
        with webhook_receiver() as proxy:
            monkeypatch.setenv(variable, proxy.url)
            monkeypatch.setenv(variable.lower(), proxy.url)
            assert send(receiver.url).is_success
            assert proxy.connections == 0

    def test_is_sent_from_any_thread(self, receiver):
        answers: list[Answer] = []
        threads = [
            threading.Thread(target=lambda: answers.append(send(receiver.url))) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [answer.status for answer in answers] == [200] * 4


class TestAnswer:
    @pytest.mark.parametrize("status", [200, 201, 299])
    def test_counts_with_any_2xx(self, receiver, status):
        receiver.answers = [Scripted(status, body=b"thanks")]
        answer = send(receiver.url)
        assert (answer.status, answer.is_success, answer.excerpt) == (status, True, "thanks")
        assert answer.latency_ms >= 0

    def test_may_come_in_the_smallest_of_chunks(self, receiver):
        chunks = b"1\r\na\r\n" * ANSWER_MAX_BYTES + b"0\r\n\r\n"
        receiver.answers = [Scripted(200, {"Transfer-Encoding": "chunked"}, chunks)]
        assert send(receiver.url).is_success

    def test_may_be_empty(self, receiver):
        receiver.answers = [204]
        assert send(receiver.url).is_success

    @pytest.mark.parametrize("status", [400, 401, 404, 410, 429, 500, 503, 599])
    def test_is_returned_with_any_other_status(self, receiver, status):
        receiver.answers = [Scripted(status, body=b"no\x00!")]
        answer = send(receiver.url)
        assert (answer.status, answer.is_success, answer.excerpt) == (status, False, "no�!")

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_is_followed_nowhere(self, receiver, status):
        with webhook_receiver() as elsewhere:
            receiver.answers = [Scripted(status, {"Location": elsewhere.url})]
            answer = send(receiver.url)
            assert (answer.status, answer.is_success) == (status, False)
            assert elsewhere.connections == 0
            assert len(receiver.requests) == 1

    def test_says_how_long_to_wait(self, receiver):
        date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
        receiver.answers = [
            Scripted(429, {"Retry-After": "120"}),
            Scripted(503, {"Retry-After": date}),
            Scripted(503, {"Retry-After": "soon"}),
        ]
        assert send(receiver.url).retry_after_seconds == 120
        assert 3_000 < (send(receiver.url).retry_after_seconds or 0) <= 3_600
        assert send(receiver.url).retry_after_seconds is None

    def test_may_have_as_many_bytes_as_are_read(self, receiver):
        receiver.answers = [Scripted(200, body=b"a" * ANSWER_MAX_BYTES)]
        answer = send(receiver.url)
        assert answer.is_success
        assert answer.excerpt == "a" * 1_000

    def test_does_not_count_with_one_byte_more(self, receiver):
        receiver.answers = [Scripted(200, body=b"a" * (ANSWER_MAX_BYTES + 1))]
        answer = send(receiver.url)
        assert not answer.is_success
        assert answer.fault == "its answer is over 65,536 bytes"

    @pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "GZIP", "identity, gzip"])
    def test_does_not_count_when_encoded(self, receiver, encoding):
        receiver.answers = [Scripted(200, {"Content-Encoding": encoding}, b"ok")]
        answer = send(receiver.url)
        assert not answer.is_success
        assert answer.fault == "its answer is encoded (Content-Encoding), not identity as asked"
        assert answer.excerpt == ""

    @pytest.mark.parametrize("status", [204, 200, 202])
    def test_counts_when_nothing_is_encoded(self, receiver, status):
        receiver.answers = [Scripted(status, {"Content-Encoding": "gzip"})]
        assert send(receiver.url).is_success

    def test_counts_when_no_chunk_is_encoded(self, receiver):
        headers = {"Content-Encoding": "gzip", "Transfer-Encoding": "chunked"}
        receiver.answers = [Scripted(200, headers, b"0\r\n\r\n")]
        assert send(receiver.url).is_success

    def test_counts_when_it_says_that_it_is_not_encoded(self, receiver):
        receiver.answers = [Scripted(200, {"Content-Encoding": "identity"}, b"ok")]
        assert send(receiver.url).is_success


class TestMisbehaviour:
    @pytest.mark.parametrize(
        ("behaviour", "reason"),
        [
            ("reset", "broke off the connection"),
            ("nothing", "without sending a response"),
            ("garbage", "illegal status line"),
            ("cut", "without sending complete message body"),
            ("switch", "HTTP/1.1"),
            ("headers_without_end", "buffer too long"),
            ("endless_line", "buffer too long"),
            ("storm", "1,000,000 bytes and no whole answer"),
        ],
    )
    def test_ends_the_attempt_with_the_host_and_a_reason(self, receiver, behaviour, reason):
        receiver.answers = [behaviour]
        with pytest.raises(DeliveryFailed, match=reason) as failure:
            send(f"{receiver.url}/SECRET?SECRET")
        text = str(failure.value)
        assert text.startswith("127.0.0.1 ")
        assert "SECRET" not in text
        assert "script" not in text
        assert "\n" not in text

    @pytest.mark.parametrize("behaviour", ["hang", "drip", "drip_headers"])
    def test_lasts_no_longer_than_the_deadline(self, receiver, short_deadline, behaviour):
        # Given a receiver that never ends, though it may send something all the time
        receiver.answers = [behaviour]

        # When a webhook is sent, then the attempt ends: this test would else hang
        with pytest.raises(DeliveryFailed, match=r"no whole answer within 0\.5 s"):
            send(receiver.url)

    def test_of_a_closed_port_is_a_failure(self):
        with webhook_receiver() as gone:
            url = gone.url
        with pytest.raises(DeliveryFailed, match="accepts no connection"):
            send(url)

    def test_of_a_receiver_that_reads_nothing_meets_the_deadline(self, receiver, short_deadline):
        receiver.default = "hang"
        with pytest.raises(DeliveryFailed, match="no whole answer"):
            post(receiver.url, headers={}, body=b"x" * 50 * MEGABYTE)


class TestMemory:
    @pytest.mark.parametrize(
        "behaviour", ["endless", "endless_chunks", "endless_line", "headers_without_end", "storm"]
    )
    def test_stays_flat_however_much_is_sent(self, receiver, behaviour):
        # Given a receiver that would send 10 GB
        receiver.answers = [200, behaviour]
        send(receiver.url)  # What is loaded once is no part of the measure.

        # When a webhook is sent
        tracemalloc.start()
        try:
            with contextlib.suppress(DeliveryFailed):
                assert "over 65,536 bytes" in send(receiver.url).fault
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        # Then little of it was kept, and little was sent
        assert peak < 8 * MEGABYTE
        assert receiver.bytes_sent < SENT_MOST_BYTES

    def test_stays_flat_for_a_bomb(self, receiver):
        receiver.answers = [200, "gzip_bomb"]
        send(receiver.url)
        tracemalloc.start()
        try:
            answer = send(receiver.url)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert "encoded" in answer.fault
        assert answer.excerpt == ""
        assert peak < 8 * MEGABYTE

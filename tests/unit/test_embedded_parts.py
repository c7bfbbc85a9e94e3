"""The small parts of the embedded profile: queues that dead-letter, and the lock."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from kombu import Connection, Producer

from jobs.engine.embedded.lock import AlreadyUp, only_one
from jobs.engine.embedded.transport import Channel, Transport
from jobs.engine.publisher import declare_topology

BODY = b'[[], {"n": 1}, {}] \xff'


@pytest.fixture
def channel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Channel]:
    """A channel with every queue declared, and all of them empty."""
    monkeypatch.setattr(Channel, "queues", {})
    with Connection("memory://localhost/", transport=Transport) as connection:
        assert declare_topology(connection) == []
        channel = connection.default_channel
        assert isinstance(channel, Channel)
        yield channel


def deliver(channel: Channel, lane: str = "exports") -> Any:
    """Send a message to a lane and receive it as a worker would."""
    Producer(channel).publish(
        BODY,
        exchange=settings.CELERY_TASK_DEFAULT_EXCHANGE,
        routing_key=f"{lane}.exports.export_data",
        headers={"id": "1"},
        content_type="application/json",
        content_encoding="utf-8",
    )
    return channel.basic_get(lane)


class TestChannel:
    def test_dead_letters_what_is_rejected_with_body_and_headers_as_they_were(self, channel):
        deliver(channel).reject()
        dead = channel.basic_get(settings.JOBS_DEAD_LETTER_QUEUE.name)
        assert bytes(dead.body) == BODY
        assert dead.headers["id"] == "1"
        assert dead.headers["x-death"][0]["queue"] == "exports"
        assert dead.delivery_info["routing_key"] == "exports.exports.export_data"

    def test_marks_what_goes_back_to_its_queue_as_redelivered(self, channel):
        deliver(channel).requeue()
        again = channel.basic_get("exports")
        assert again.delivery_info["redelivered"]
        assert bytes(again.body) == BODY

    def test_counts_no_timers_among_what_keeps_the_threads_busy(self, channel):
        channel.basic_qos(0, 2, False)
        for _ in range(5):
            deliver(channel, lane="timers")
        assert channel.qos.can_consume()

        first, _ = deliver(channel), deliver(channel)
        assert not channel.qos.can_consume()
        first.ack()
        assert channel.qos.can_consume()

    def test_has_no_dead_letters_of_what_is_acknowledged(self, channel):
        deliver(channel).ack()
        assert channel.basic_get(settings.JOBS_DEAD_LETTER_QUEUE.name) is None

    def test_forgets_a_dead_letter_that_is_rejected(self, channel):
        deliver(channel).reject()
        channel.basic_get(settings.JOBS_DEAD_LETTER_QUEUE.name).reject()
        assert channel.basic_get(settings.JOBS_DEAD_LETTER_QUEUE.name) is None


class TestOnlyOne:
    def test_refuses_the_second_and_names_the_first_until_it_has_ended(self, tmp_path):
        path = tmp_path / "var" / "up.lock"
        with only_one(path), pytest.raises(AlreadyUp, match=f"Process {os.getpid()} is up"):
            only_one(path).__enter__()
        with only_one(path):
            assert path.read_text() == str(os.getpid())

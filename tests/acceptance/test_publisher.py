"""The relay's publisher and a real broker: every message is confirmed, or named as not."""

import uuid
from dataclasses import replace

import pytest
from celery import Celery

from jobs.engine.message import Message
from jobs.engine.publisher import AmqpPublisher, Unconfirmed
from tests.harness.queues import Queues


@pytest.fixture
def vhost(servers):
    """A virtual host of this test's own; return its URL."""
    broker, name = servers.start_rabbitmq(), servers.next_name()
    yield broker.create_vhost(name)
    broker.delete_vhost(name)


@pytest.fixture
def queues(vhost):
    return Queues(vhost)


@pytest.fixture
def publisher_to(monkeypatch):
    """Return a function that makes a publisher; Celery prefers the environment's URL to its own."""

    def make(url):
        monkeypatch.setenv("CELERY_BROKER_URL", url)
        return AmqpPublisher(Celery("tests", set_as_current=False))

    return make


@pytest.fixture
def publisher(vhost, publisher_to):
    publisher = publisher_to(vhost)
    yield publisher
    publisher.close()


def messages(count, lane="jobs"):
    return [
        Message(str(uuid.uuid4()), 1, lane, f"{lane}.drills.run", {"task": "drills.run"}, "[]")
        for _ in range(count)
    ]


class TestAmqpPublisher:
    def test_hands_over_a_batch_and_waits_for_every_confirm(self, publisher, queues):
        batch = messages(500)

        assert publisher.send(batch) == {}

        arrived = {message.properties["correlation_id"] for message in queues.take("jobs")}
        assert arrived == {message.id for message in batch}

    def test_gives_a_message_its_priority(self, publisher, queues):
        plain, urgent = messages(2)

        assert publisher.send([plain, replace(urgent, priority=7)]) == {}

        arrived = {each.properties["correlation_id"]: each for each in queues.take("jobs")}
        assert arrived[urgent.id].properties["priority"] == 7
        assert "priority" not in arrived[plain.id].properties

    def test_declares_every_queue_before_it_sends(self, publisher, queues):
        publisher.connect()

        for name in ("jobs", "exports", "notifications", "timers", "alerts", "jobs.dead_letters"):
            assert queues.ready(name) == 0

    def test_names_what_no_queue_takes_and_sends_the_rest(self, publisher, queues):
        lost, kept = messages(2, lane="nowhere"), messages(3)

        faults = publisher.send([lost[0], *kept, lost[1]])

        assert set(faults) == {message.id for message in lost}
        assert all("unroutable" in reason for reason in faults.values())
        assert queues.ready("jobs") == 3

    def test_declares_a_queue_again_that_was_deleted_under_its_connection(self, publisher, queues):
        publisher.send(messages(1))
        with queues.channel() as channel:
            channel.queue_delete("jobs")

        # The first batch is returned; the second finds the queue again.
        assert len(publisher.send(messages(2))) == 2
        assert publisher.send(messages(2)) == {}
        assert queues.ready("jobs") == 2

    def test_declares_all_again_after_the_exchange_was_deleted(self, publisher, queues):
        publisher.send(messages(1))
        with queues.channel() as channel:
            channel.exchange_delete("jobs")

        batch = messages(2)
        with pytest.raises(Unconfirmed) as refused:
            publisher.send(batch)

        assert set(refused.value.unconfirmed) == {message.id for message in batch}
        assert publisher.send(batch) == {}

    def test_names_what_it_can_not_know_of_when_the_connection_is_cut(self, publisher, queues):
        publisher.connect()
        publisher._channel.connection.transport.sock.close()
        batch = messages(3)

        with pytest.raises(Unconfirmed) as refused:
            publisher.send(batch)

        assert set(refused.value.unconfirmed) == {message.id for message in batch}
        assert publisher.send(batch) == {}

    def test_counts_what_waits(self, publisher):
        publisher.send(messages(3))

        assert publisher.ready_messages("jobs") == 3
        assert publisher.ready_messages("exports") == 0
        assert publisher.ready_messages("no such queue") is None

    def test_says_so_when_there_is_no_broker(self, publisher_to):
        with pytest.raises(Unconfirmed):
            publisher_to("amqp://guest@127.0.0.1:1//").connect()

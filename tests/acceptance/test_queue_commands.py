"""The commands that speak to the broker: what they see there, bring back and refuse."""

import json
from typing import Any

from jobs import enqueue
from project.services.ports import LOOPBACK, free_port
from tests.harness.tasks import Errand, do_nothing


def enqueue_and_relay(system, count: int) -> None:
    """Leave so many messages in the lane, with no worker to take them."""
    with system.orm():
        for number in range(count):
            enqueue(do_nothing, Errand(label=f"job {number}"))
    relay = system.relay()
    system.wait_for(lambda: ready(system) == count, seconds=60, what="all were relayed")
    relay.terminate()


def ready(system) -> Any:
    return rows(system)["jobs"]["ready"]


def rows(system) -> dict[str, dict[str, Any]]:
    return {row["queue"]: row for row in json.loads(system.run("show_queues", "--json").stdout)}


class TestShowQueues:
    def test_counts_messages_and_jobs(self, system):
        enqueue_and_relay(system, 3)
        with system.orm():
            enqueue(do_nothing, Errand(label="not relayed"))
        lane = rows(system)["jobs"]
        assert (lane["ready"], lane["queued"], lane["waiting"]) == (3, 3, 1)

    def test_shows_the_ledger_and_fails_where_the_broker_is_away(self, system):
        nowhere = {"CELERY_BROKER_URL": f"amqp://{LOOPBACK}:{free_port()}//"}
        done = system.run("show_queues", env=nowhere, check=False)
        assert done.returncode == 1
        assert "jobs.dead_letters" in done.stdout
        assert done.stderr.startswith("CommandError: The broker can't be reached")


class TestRecoverJobs:
    def test_sends_again_at_once_what_a_wiped_broker_lost(self, system):
        enqueue_and_relay(system, 3)
        system.queues.purge("jobs")
        printed = json.loads(system.run("recover_jobs", "--now", "--json").stdout)
        assert printed == [{"put_back": 0, "sent_again": 3, "failed": 0}]
        assert ready(system) == 3

    def test_believes_no_empty_queue_at_first_sight(self, system):
        enqueue_and_relay(system, 1)
        system.queues.purge("jobs")
        assert json.loads(system.run("recover_jobs", "--json").stdout)[0]["sent_again"] == 0

    def test_sends_nothing_twice(self, system):
        enqueue_and_relay(system, 2)
        assert json.loads(system.run("recover_jobs", "--now", "--json").stdout)[0] == {
            "put_back": 0,
            "sent_again": 0,
            "failed": 0,
        }


class TestDeclareTopology:
    def test_makes_every_queue_and_may_be_run_again(self, system):
        for _ in range(2):
            system.run("declare_topology")
        assert {row["ready"] for row in rows(system).values()} == {0}

    def test_leaves_a_queue_with_other_arguments_and_says_so(self, system):
        with system.queues.channel() as channel:
            channel.queue_declare("exports", durable=True, auto_delete=False)
        done = system.run("declare_topology", check=False)
        assert done.returncode == 1
        assert "exports: PRECONDITION_FAILED" in done.stderr
        assert rows(system)["notifications"]["ready"] == 0

"""The health check as a job: a worker looks, and people hear of what begins and ends to fail."""

from typing import Any

from tests.harness.system import System
from tests.receiver import Receiver, receiver

SAFETY_NET_SECONDS = 120


def look(system: System) -> None:
    """Enqueue a health check, as the schedule does every five minutes, and wait for its end."""
    before = system.value("SELECT COUNT(DISTINCT at) FROM jobs_healthcheck")
    system.run("enqueue", "health.check_health")
    system.wait_for(
        lambda: system.value("SELECT COUNT(DISTINCT at) FROM jobs_healthcheck") > before,
        seconds=SAFETY_NET_SECONDS,
        what="the look was kept",
    )


def told_of_topology(system: System, hook: Receiver, count: int) -> dict[str, Any]:
    """Wait until so many alerts of the topology were received, and return the last."""

    def told() -> list[dict[str, Any]]:
        return [body for body in hook.bodies if body["data"].get("check") == "topology"]

    what = f"{count} alerts of the topology came"
    system.wait_for(lambda: len(told()) >= count, seconds=SAFETY_NET_SECONDS, what=what)
    assert len(told()) == count
    return told()[-1]


class TestAMissingBinding:
    def test_is_told_of_once_and_so_is_its_mending(self, system: System) -> None:
        with receiver() as hook:
            system.env["ALERT_WEBHOOK_URL"] = hook.url
            system.relay()
            system.worker()
            look(system)

            with system.queues.channel() as channel:
                channel.queue_unbind("exports", "jobs", "exports.#")
            for _ in range(2):
                look(system)
            failure = told_of_topology(system, hook, 1)
            system.run("declare_topology")
            look(system)
            recovery = told_of_topology(system, hook, 2)

        assert failure["severity"] == "error"
        assert failure["data"]["found"] == "exports is not bound to jobs by exports.#"
        assert failure["data"]["remedy"] == "manage.py declare_topology"
        assert recovery["severity"] == "info"
        assert recovery["data"]["since"] == failure["data"]["since"]
        assert system.value("SELECT MIN(latency_ms) FROM jobs_healthcheck") > 0

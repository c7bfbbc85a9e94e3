"""Slots under faults: two beats, one killed again and again, and a broker that goes away."""

import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from project.services import RabbitMQ
from tests.harness import ledger
from tests.harness.processes import Process
from tests.harness.system import System

LEDGER = "SELECT at, outcome, job_id FROM jobs_slot WHERE schedule_name = %s ORDER BY at"


def make_schedule(system: System, name: str, *, every_seconds: int, **fields: Any) -> None:
    with system.orm():
        interval = IntervalSchedule.objects.create(every=every_seconds, period="seconds")
        PeriodicTask.objects.create(
            name=name,
            interval=interval,
            task="tests.add_effect",
            kwargs=f'{{"label": "{name}"}}',
            **fields,
        )


def slots_by_arithmetic(after: datetime, until: datetime, every_seconds: int) -> list[datetime]:
    """Return the multiples of the interval since 1970, computed without the product's code."""
    first = math.floor(after.timestamp() / every_seconds) + 1
    last = math.floor(until.timestamp() / every_seconds)
    return [datetime.fromtimestamp(n * every_seconds, UTC) for n in range(first, last + 1)]


def moment_of_first_revision(system: System) -> datetime:
    found: datetime = system.value("SELECT min(from_at) FROM jobs_schedulerevision")
    return found


def kill_one_after_another(
    system: System, beats: list[Process], *, seconds: float, every_seconds: float
) -> Iterator[float]:
    """Kill a beat and start it again, every so often; yield the seconds that have passed."""
    begun, turn = time.monotonic(), 0
    while (passed := time.monotonic() - begun) < seconds:
        yield passed
        time.sleep(every_seconds)
        beats[turn % 2].kill()
        beats[turn % 2] = system.beat()
        turn += 1


class TestTwoBeats:
    @pytest.mark.parametrize(
        ("seconds", "every_seconds", "kill_every_seconds", "away"),
        [
            pytest.param(45, 2, 4, (12, 25), id="in-short"),
            pytest.param(
                300, 5, 10, (120, 180), id="for-five-minutes",
                marks=[pytest.mark.slow, pytest.mark.timeout(900)],
            ),
        ],
    )  # fmt: skip
    def test_leave_no_gap_and_no_double_whatever_is_killed(
        self,
        system: System,
        own_rabbitmq: RabbitMQ,
        seconds: int,
        every_seconds: int,
        kill_every_seconds: int,
        away: tuple[int, int],
    ) -> None:
        # Given a schedule of a few seconds, and two beats
        make_schedule(system, "often", every_seconds=every_seconds)
        system.relay()
        system.worker()
        beats = [system.beat(), system.beat()]

        # When one of them is killed again and again, and RabbitMQ is stopped for a while
        stopped = False
        for passed in kill_one_after_another(
            system, beats, seconds=seconds, every_seconds=kill_every_seconds
        ):
            if stopped != (away[0] <= passed < away[1]):
                stopped = not stopped
                own_rabbitmq.stop() if stopped else own_rabbitmq.start()
        if stopped:
            own_rabbitmq.start()
        ended = datetime.now(UTC)
        newest = slots_by_arithmetic(ended - timedelta(minutes=1), ended, every_seconds)[-1]
        covered = "SELECT max(at) >= %s FROM jobs_slot"
        system.wait_for(lambda: system.value(covered, newest), seconds=60, what="it was decided")
        for beat in beats:
            beat.kill()

        # Then the ledger is the list of slots that arithmetic gives, each once, each with a job
        rows = system.rows(LEDGER, "often")
        begun = moment_of_first_revision(system)
        assert [row["at"] for row in rows] == slots_by_arithmetic(
            begun, rows[-1]["at"], every_seconds
        )
        assert rows[-1]["at"] >= newest
        assert {row["outcome"] for row in rows} <= {"ran", "late"}
        ledger.wait_until_all_settled(system, seconds=200)
        assert system.effects("often") == len({row["job_id"] for row in rows}) == len(rows)
        assert "often" in system.run("verify_slots").stdout


class TestABeatThatHangs:
    def test_in_its_transaction_keeps_the_slots_from_nobody(self, system: System) -> None:
        # Given two beats of which one is stopped at a random moment, as a machine that hangs would
        make_schedule(system, "often", every_seconds=1)
        first, _ = system.beat(), system.beat()
        decided = "SELECT count(*) FROM jobs_slot"
        system.wait_for(lambda: system.value(decided) >= 3, seconds=60, what="slots were decided")
        first.pause()

        # Then the other goes on, and after it wakes up none has come twice
        seen = system.value(decided)
        system.wait_for(lambda: system.value(decided) >= seen + 5, seconds=60, what="it went on")
        first.resume()
        seen = system.value(decided)
        system.wait_for(lambda: system.value(decided) >= seen + 3, seconds=60, what="both go on")
        system.run("verify_slots")


class TestABrokerThatIsAway:
    def test_costs_no_slot_and_does_not_stop_beat(
        self, system: System, own_rabbitmq: RabbitMQ
    ) -> None:
        make_schedule(system, "often", every_seconds=1)
        own_rabbitmq.stop()
        beat = system.beat()
        decided = "SELECT count(*) FROM jobs_slot"
        system.wait_for(lambda: system.value(decided) >= 5, seconds=60, what="slots were decided")
        assert beat.alive

        own_rabbitmq.start()
        beat.kill()
        system.relay()
        system.worker()

        ledger.wait_until_all_settled(system, seconds=120)
        assert system.effects("often") == system.value(decided)


class TestADatabaseThatIsAway:
    def test_is_waited_for_by_beat(self, system: System, own_postgres: Any) -> None:
        make_schedule(system, "often", every_seconds=1)
        beat = system.beat()
        decided = "SELECT count(*) FROM jobs_slot"
        system.wait_for(lambda: system.value(decided) >= 2, seconds=60, what="slots were decided")

        own_postgres.stop(immediate=True)
        beat.wait_for_log("database.away")
        own_postgres.start()

        seen = system.value(decided)
        system.wait_for(lambda: system.value(decided) >= seen + 3, seconds=60, what="it went on")
        assert beat.alive
        system.run("verify_slots")

"""The three jobs of the cron table: by the clock with servers, and by hand in both profiles."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django_celery_beat.models import CrontabSchedule, PeriodicTask

from project.schedule import SCHEDULES
from tests.cleaning import PARTS
from tests.harness import ledger
from tests.harness.embedded import Embedded
from tests.harness.system import System

NAMES = ("aggregate_metrics", "daily_cleanup", "health_check")


#: What the cron table itself starts.
SEEDS = {each.task for each in SCHEDULES}


def run_each_minute(system: System) -> None:
    """Do what an operator does in the admin: let every row of the table run each minute."""
    with system.orm():
        crontab, _ = CrontabSchedule.objects.get_or_create(
            minute="*", hour="*", day_of_month="*", month_of_year="*", day_of_week="*",
            timezone="UTC",
        )  # fmt: skip
        for schedule in PeriodicTask.objects.all():
            schedule.crontab = crontab
            schedule.save()


class TestByTheClock:
    def test_each_runs_and_succeeds_with_servers(self, system: System) -> None:
        # Given the cron table, whose rows an operator lets run each minute
        system.run("sync_schedules")
        run_each_minute(system)
        system.relay()
        system.worker()
        system.beat()

        # When the next minute comes
        decided = "SELECT count(DISTINCT schedule_name) FROM jobs_slot WHERE job_id IS NOT NULL"
        system.wait_for(lambda: system.value(decided) == len(NAMES), seconds=120, what="all ran")

        # Then each has succeeded, the night's parts too
        ledger.wait_until_all_settled(system)
        assert ledger.count_by_state(system).keys() == {"succeeded"}
        types = {row["type"] for row in system.rows("SELECT DISTINCT type FROM jobs_job")}
        assert types - SEEDS == PARTS
        assert system.value("SELECT count(*) FROM jobs_healthcheck") > 5
        system.run("verify_slots")


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Embedded]:
    embedded = Embedded(tmp_path)
    yield embedded
    embedded.close()


def assert_all_succeeded(rows: list[dict[str, Any]], name: str) -> None:
    assert {row["schedule"] for row in rows} == {name}
    assert {row["state"] for row in rows} == {"succeeded"}
    started = {row["type"] for row in rows} - SEEDS
    assert started == (PARTS if name == "daily_cleanup" else set())


class TestByHand:
    def test_each_succeeds_with_servers(self, system: System) -> None:
        system.run("sync_schedules")
        system.relay()
        system.worker()

        for name in NAMES:
            ran = system.run("trigger_schedule", name, "--wait=120", "--json")
            assert_all_succeeded(json.loads(ran.stdout), name)

    def test_each_succeeds_in_one_process(self, embedded: Embedded) -> None:
        # `up` has written the cron table itself.
        up = embedded.up()

        for name in NAMES:
            ran = embedded.manage("trigger_schedule", name, "--wait=120", "--json")
            assert_all_succeeded(json.loads(ran), name)

        answer = up.client().get("/__scheduled?cron=*/5+*+*+*+*")
        assert answer.status_code == 202
        [ran_now] = answer.json()["ran"]
        assert ran_now["schedule"] == "health_check"
        embedded.wait_for_state(ran_now["job_id"], "succeeded")

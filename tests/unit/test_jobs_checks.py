"""The system checks: the product's settings pass, and each fault is told with what to do."""

from dataclasses import replace

import pytest
from celery import current_app
from kombu import Queue

from jobs import checks, registry
from jobs.checks import check_settings
from jobs.schedules.cron_table import CronJob
from project import topology
from tests.harness.tasks import do_nothing


def faults() -> set[str | None]:
    found = check_settings()
    assert all(fault.msg and fault.hint for fault in found)
    return {fault.id for fault in found}


@pytest.fixture
def celery(monkeypatch):
    """Set an option of Celery's for one test."""
    return lambda name, value: monkeypatch.setitem(current_app.conf, name, value)


def queue_like(queue: Queue, **changes) -> Queue:
    return Queue(
        queue.name,
        exchange=queue.exchange,
        routing_key=queue.routing_key,
        queue_arguments={**(queue.queue_arguments or {}), **changes},
    )


class TestCheckSettings:
    def test_finds_nothing_wrong_with_our_own(self):
        assert faults() == set()

    @pytest.mark.parametrize("option", checks.OPTIONS, ids=lambda option: option.name)
    def test_names_each_celery_option_that_is_not_as_needed(self, celery, option):
        celery(option.name, None)
        assert faults() == {f"jobs.{option.id}"}
        assert f"CELERY_{option.name.upper()}" in check_settings()[0].msg

    def test_wants_confirms_of_a_real_broker(self, celery, settings):
        settings.PROFILE = "services"
        celery("broker_transport_options", {})
        assert faults() == {"jobs.E011"}

    @pytest.mark.parametrize(("name", "value"), [("USE_TZ", False), ("TIME_ZONE", "Asia/Tokyo")])
    def test_wants_utc(self, settings, name, value):
        setattr(settings, name, value)
        assert "jobs.E012" in faults()

    def test_wants_heartbeats_within_a_lease(self, settings):
        settings.JOBS_HEARTBEAT_SECONDS = settings.JOBS_LEASE_SECONDS
        assert faults() == {"jobs.E013"}

    @pytest.mark.parametrize("hard", [None, 1_800])
    def test_wants_a_hard_limit_below_the_brokers_patience(self, monkeypatch, hard):
        monkeypatch.setattr(task_of("tests.do_nothing"), "time_limit", hard)
        assert faults() == {"jobs.E014"}

    @pytest.mark.parametrize("soft", [None, 1_260])
    def test_wants_a_soft_limit_below_the_hard_one(self, monkeypatch, soft):
        monkeypatch.setattr(task_of("tests.do_nothing"), "soft_time_limit", soft)
        assert faults() == {"jobs.E015"}

    def test_wants_a_lane_for_every_type(self, monkeypatch):
        stray = replace(registry.get_type(do_nothing.name), name="tests.stray", queue="nowhere")
        monkeypatch.setitem(registry._types, stray.name, stray)
        assert faults() == {"jobs.E016"}

    def test_wants_a_worker_for_the_dead_letters(self, settings):
        settings.CELERY_TASK_QUEUES = topology.LANES
        assert faults() == {"jobs.E017"}

    def test_refuses_dead_letters_that_would_go_round(self, settings):
        dead = queue_like(topology.DEAD_LETTERS, **{"x-dead-letter-exchange": "jobs.dead"})
        settings.JOBS_DEAD_LETTER_QUEUE = dead
        settings.CELERY_TASK_QUEUES = (*topology.LANES, dead)
        assert faults() == {"jobs.E019"}

    @pytest.mark.parametrize(
        "name",
        ["x-queue-type", "x-dead-letter-exchange", "x-dead-letter-strategy", "x-overflow"],
    )
    def test_wants_lanes_that_keep_the_dead(self, settings, name):
        first, *rest = topology.LANES
        settings.CELERY_TASK_QUEUES = (
            queue_like(first, **{name: "other"}),
            *rest,
            topology.DEAD_LETTERS,
        )
        assert faults() == {"jobs.E018"}

    def test_says_that_celerys_own_table_is_read_by_nobody(self, celery):
        celery("beat_schedule", {"nightly": {"task": "reports.build", "schedule": 60}})
        assert faults() == {"jobs.W001"}

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"cron": "61 * * * *"}, "61"),
            ({"cron": "* * * *"}, "4 fields"),
            ({"timezone": "Mars/Olympus"}, "Mars/Olympus"),
            ({"task": "reports.unknown"}, "reports.unknown"),
            ({"payload": {"label": []}}, "label"),
            ({"missed": "whenever"}, "whenever"),
            ({"overlap": "whenever"}, "whenever"),
        ],
    )
    def test_names_a_row_of_the_cron_table_that_can_not_run(self, settings, change, words):
        row = CronJob(name="often", cron="* * * * *", task=do_nothing.name, payload={"label": "it"})
        settings.JOBS_SCHEDULES = (replace(row, **change),)
        assert faults() == {"jobs.E020"}
        [fault] = check_settings()
        assert "often" in fault.msg
        assert words in fault.msg

    @pytest.mark.parametrize("names", [("often", "often"), ("",), ("x" * 201,)])
    def test_names_rows_whose_names_can_not_be(self, settings, names):
        settings.JOBS_SCHEDULES = tuple(
            CronJob(name=name, cron="* * * * *", task=do_nothing.name, payload={"label": "it"})
            for name in names
        )
        assert faults() == {"jobs.E020"}


def task_of(name: str):
    return current_app.tasks[name]

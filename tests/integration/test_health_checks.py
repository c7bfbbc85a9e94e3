"""Health checks: each look is kept, a change is told of once, and so is its end."""

import os
import signal
import threading
import time

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from django.db import OperationalError, connection

from jobs import enqueue
from jobs.doctor import Finding, findings, register, registry
from jobs.health import history
from jobs.health.tasks import check_health
from jobs.models import Alert, HealthCheck, Incident, Job
from jobs.states import AlertKind
from jobs.testing import run_enqueued_jobs
from tests.deliveries import at_once, deliver
from tests.drills import fresh, make_due, take
from tests.receiver import receiver

pytestmark = pytest.mark.django_db(transaction=True)

OK = findings.ok("fine")
WARNING = findings.warning("soon full", "Empty it.")
FAILED = findings.failed("it is full", "Empty it.")


@pytest.fixture(autouse=True)
def checks(monkeypatch):
    """Check a disk and a net alone, both fine; a test sets what they find, or a function."""
    checks = {"disk": lambda: OK, "net": lambda: OK}
    monkeypatch.setattr(registry, "_checks", checks)
    return checks


@pytest.fixture
def look(checks):
    """Return what lets a health check run and find this of the disk."""

    def look(disk: Finding = OK) -> None:
        checks["disk"] = lambda: disk
        enqueue(check_health, {})
        run_enqueued_jobs()

    return look


def told() -> list[tuple[str, str]]:
    return [(alert.severity, alert.data["check"]) for alert in Alert.objects.order_by("pk")]


FAILURE, RECOVERY = ("error", "disk"), ("info", "disk")


class TestALook:
    def test_keeps_what_each_check_found_and_how_long_it_took(self, look, checks):
        def slow():
            time.sleep(0.05)
            return WARNING

        checks["net"] = slow
        look(FAILED)

        disk, net = HealthCheck.objects.order_by("name")
        assert (disk.name, disk.status, disk.found) == ("disk", "failed", "it is full")
        assert (net.name, net.status, net.found) == ("net", "warning", "soon full")
        assert disk.at == net.at
        assert disk.latency_ms >= 0
        assert net.latency_ms >= 50

    def test_is_the_present_state_once_it_is_the_newest(self, look):
        look(FAILED)
        look(WARNING)
        assert [row.status for row in history.newest_look()] == ["warning", "ok"]

    def test_makes_the_other_checks_where_one_raises(self, look, checks):
        def broken():
            raise KeyError("missing")

        checks["net"] = broken
        look()
        net = HealthCheck.objects.get(name="net")
        assert (net.status, net.found) == ("failed", "KeyError: 'missing'")
        assert HealthCheck.objects.get(name="disk").status == "ok"
        assert told() == [("error", "net")]

    def test_counts_a_check_that_meets_the_soft_limit_as_failed(self, look, checks):
        def hang():
            raise SoftTimeLimitExceeded

        checks["disk"], checks["net"] = hang, lambda: OK
        enqueue(check_health, {})
        run_enqueued_jobs()
        assert "SoftTimeLimitExceeded" in HealthCheck.objects.get(name="disk").found
        assert HealthCheck.objects.get(name="net").status == "ok"

    def test_is_bounded_and_not_tried_for_long(self):
        assert (check_health.soft_time_limit, check_health.time_limit) == (120, 150)
        assert check_health.max_retries == 1


class TestAChange:
    def test_is_told_of_once_and_not_at_every_look(self, look):
        for disk in (OK, FAILED, FAILED, FAILED):
            look(disk)
        assert told() == [FAILURE]
        assert HealthCheck.objects.filter(name="disk").count() == 4

    def test_is_told_of_with_what_to_do(self, look, settings):
        with receiver() as hook:
            settings.ALERT_WEBHOOK_URL = hook.url
            look(FAILED)
            [body] = hook.bodies
        assert body["severity"] == "error"
        assert body["message"] == "Health check disk fails: it is full"
        at = HealthCheck.objects.get(name="disk").at
        assert body["data"].items() >= {
            "type": "health",
            "check": "disk",
            "status": "failed",
            "found": "it is full",
            "remedy": "Empty it.",
            "since": at.isoformat(),
        }.items()  # fmt: skip

    def test_to_well_is_told_of_with_when_it_began(self, look):
        for disk in (FAILED, OK, FAILED, FAILED, OK, OK):
            look(disk)
        assert told() == [FAILURE, RECOVERY, FAILURE, RECOVERY]
        began = HealthCheck.objects.filter(name="disk", status="failed").order_by("at")[1]
        newest = Alert.objects.latest("pk")
        assert newest.message == "Health check disk fails no longer: fine"
        assert newest.data["since"] == began.at.isoformat()

    def test_to_a_warning_is_a_recovery_too(self, look):
        for disk in (FAILED, WARNING):
            look(disk)
        assert told() == [FAILURE, RECOVERY]
        assert Alert.objects.latest("pk").data["status"] == "warning"

    def test_between_ok_and_warning_is_no_news(self, look):
        for disk in (WARNING, OK, WARNING):
            look(disk)
        assert told() == []

    def test_that_goes_to_and_fro_is_told_of_each_time_within_the_interval(self, look):
        for disk in (FAILED, OK) * 4:
            look(disk)
        assert told() == [FAILURE, RECOVERY] * 4
        assert sorted(Incident.objects.values_list("fingerprint", "past_count")) == [
            ("health:failed:disk", 4),
            ("health:well:disk", 4),
        ]

    def test_of_one_check_leaves_the_others_alone(self, look, checks):
        look(FAILED)
        checks["net"] = lambda: FAILED
        look(FAILED)
        assert told() == [FAILURE, ("error", "net")]
        assert {alert.kind for alert in Alert.objects.all()} == {AlertKind.HEALTH}


def claimed_looks(count: int) -> list[Job]:
    """Return so many health checks that all began before any of them has stored a thing."""
    jobs = [enqueue(check_health, {}) for _ in range(count)]
    for number, job in enumerate(jobs):
        Job.objects.filter(pk=job.pk).update(partition=f"health/{number}")
    return jobs


def barrier_checks(checks, *, parties: int, disk: Finding = FAILED) -> None:
    """Let no look end before all have begun."""
    barrier = threading.Barrier(parties)

    def wait() -> Finding:
        barrier.wait(timeout=60)
        return disk

    checks["disk"] = wait


class TestTwoLooksAtOnce:
    def test_are_not_sent_to_workers_as_long_as_one_runs(self):
        for _ in range(3):
            enqueue(check_health, {})
        assert len(take()) == 1

    def test_are_told_of_once(self, checks):
        barrier_checks(checks, parties=4)
        claimed_looks(4)
        messages = take()

        ended = at_once(*[lambda each=each: deliver(each) for each in messages])

        assert ended == ["acknowledged"] * 4
        assert HealthCheck.objects.filter(name="disk", status="failed").count() == 4
        assert told() == [FAILURE]

    def test_are_told_of_once_when_they_recover(self, look, checks):
        look(FAILED)
        barrier_checks(checks, parties=4, disk=OK)
        claimed_looks(4)
        at_once(*[lambda each=each: deliver(each) for each in take()])
        assert told() == [FAILURE, RECOVERY]

    def test_leave_the_news_to_the_one_that_began_later(self, look, checks):
        # Given a look that began first and sees a failure, and one that is stored meanwhile
        def look_meanwhile():
            checks["disk"] = lambda: OK
            deliver(late)
            return FAILED

        claimed_looks(2)
        early, late = take()
        checks["disk"] = look_meanwhile
        assert deliver(early) == "acknowledged"

        # Then what it saw is kept, and nobody is told what is true no longer
        assert HealthCheck.objects.filter(name="disk").count() == 2
        assert told() == []
        look(FAILED)
        assert told() == [FAILURE]


@pytest.fixture
def soft_limit():
    """Return a signal that is heard as a worker's child hears its soft limit."""

    def meet(*_):
        raise SoftTimeLimitExceeded

    before = signal.signal(signal.SIGUSR1, meet)
    yield signal.SIGUSR1
    signal.signal(signal.SIGUSR1, before)


class TestADatabase:
    def test_that_is_away_in_the_middle_costs_a_retry_and_no_false_alarm(self, look, checks):
        checks["net"] = lambda: ask("SELECT pg_terminate_backend(pg_backend_pid())")
        job = enqueue(check_health, {})
        [message] = take()
        assert deliver(message) == "acknowledged: retried"
        assert not HealthCheck.objects.exists()

        connection.close()
        make_due(job)
        checks["net"] = lambda: OK
        [again] = take()
        assert deliver(again) == "acknowledged"
        assert fresh(job).state == "succeeded"
        assert HealthCheck.objects.count() == 2
        assert told() == []

    def test_that_refuses_a_check_is_a_failure_of_that_check(self, look, checks):
        def refuse():
            raise OperationalError("out of\nshared memory")

        checks["net"] = refuse
        look()
        net = HealthCheck.objects.get(name="net")
        assert net.found == "The database is away: out of shared memory"

    def test_that_hangs_in_a_check_fails_that_check_alone(self, checks, soft_limit):
        # Given a statement that the soft limit cuts, and a check of the database after it
        def hang():
            threading.Timer(0.5, os.kill, (os.getpid(), soft_limit)).start()
            return ask(SLEEP)

        checks["disk"], checks["net"] = hang, lambda: ask("SELECT 1")
        job = enqueue(check_health, {})
        [message] = take()

        assert deliver(message) == "acknowledged"

        assert fresh(job).state == "succeeded"
        states = dict(HealthCheck.objects.values_list("name", "status"))
        assert states == {"disk": "failed", "net": "ok"}
        assert told() == [FAILURE]
        # The server would sleep on.
        ask(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query = '{SLEEP}'")

    def test_keeps_nothing_of_a_look_that_is_cancelled_meanwhile(self, checks):
        job = enqueue(check_health, {})
        checks["disk"] = lambda: Job.objects.filter(pk=job.pk).update(state="cancelled") and FAILED
        [message] = take()

        assert deliver(message) == "acknowledged: ignored"

        assert not HealthCheck.objects.exists()
        assert told() == []


SLEEP = "SELECT pg_sleep(30)"


def ask(statement: str) -> Finding:
    with connection.cursor() as cursor:
        cursor.execute(statement)
    return OK


class TestRegistration:
    def test_refuses_a_name_that_no_incident_could_hold(self):
        register("n" * 50, lambda: OK)
        with pytest.raises(ValueError, match="50 characters at most"):
            register("n" * 51, lambda: OK)

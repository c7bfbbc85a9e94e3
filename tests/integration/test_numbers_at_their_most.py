"""Every setting that is a number may be at its most: what it is for works all the same."""

import pytest
from django.utils import timezone

from jobs.alerts import operations as alerts
from jobs.alerts import watch
from jobs.engine import recovery
from jobs.metrics.aggregate import aggregate_events
from jobs.models import Alert, Job
from jobs.states import AlertKind
from jobs.testing import run_enqueued_jobs
from jobs.upkeep.tasks import start_cleanup
from notifications.operations import breaker, endpoints
from project import env
from project.accounts.models import Session
from tests.cleaning import PARTS, run_part
from tests.deliveries import Recorder, deliver
from tests.drills import fresh, leave_effect, make_job, run_atomic, run_freely, script, take
from tests.harness.variables import numbers_read
from tests.invitations import invite
from tests.outgoing import anew, attempt, is_held, make_delivery, make_endpoint, trust_loopback

pytestmark = pytest.mark.django_db(transaction=True)

#: Settings that are not called as the variable is.
NAMES = {
    "EMAIL_TIMEOUT_SECONDS": "EMAIL_TIMEOUT",
    "SESSION_KEEP_SECONDS": "SESSION_COOKIE_AGE",
    "WORKER_SOFT_SHUTDOWN_SECONDS": "CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT",
}


@pytest.fixture(autouse=True)
def most(monkeypatch, settings, tmp_path):
    settings.EXPORTS_STORAGE_URL = f"file://{tmp_path / 'exports'}"
    trust_loopback(settings)
    for name, (default, bounds) in numbers_read().items():
        most = bounds.get("most") or env.MOST.get(name.rpartition("_")[2], env.MOST_OF_OTHERS)
        monkeypatch.setenv(name, str(most))
        value = env.number(name, default, **bounds)
        if name == "EXPORTS_IN_FLIGHT_MAX":
            settings.JOBS_LANE_IN_FLIGHT_MAX = {"exports": value}
            continue
        assert hasattr(settings, NAMES.get(name, name))
        setattr(settings, NAMES.get(name, name), value)


class TestJobs:
    @pytest.mark.parametrize("task", [run_atomic, run_freely])
    def test_are_taken_and_worked(self, monkeypatch, task):
        monkeypatch.setattr(script, "run", lambda job, payload: leave_effect("done"))
        job = make_job(task)
        [message] = take(10_000)

        assert deliver(message) == "acknowledged"
        assert fresh(job).state == "succeeded"

    def test_keep_a_fence_for_their_lease(self, monkeypatch):
        def run(job, payload):
            with job.fence():
                leave_effect("fenced")

        monkeypatch.setattr(script, "run", run)
        job = make_job(run_freely)
        [message] = take(10_000)
        deliver(message)

        assert fresh(job).state == "succeeded"

    def test_are_recovered(self):
        job = make_job(state="running", silent=True)
        recovery.Sweeper(Recorder()).sweep()

        assert fresh(job).state == "waiting"

    def test_wait_before_their_retry(self, monkeypatch):
        def run(job, payload):
            raise OSError("not now")

        monkeypatch.setattr(script, "run", run)
        job = make_job()
        [message] = take(10_000)
        deliver(message)

        assert fresh(job).state == "retrying"


class TestUpkeep:
    def test_cleans_up(self):
        run_part(start_cleanup, at=timezone.now())
        run_enqueued_jobs()

        ended = Job.objects.filter(type__in=PARTS).values_list("state", flat=True)
        assert (set(ended), len(ended)) == ({"succeeded"}, len(PARTS))

    def test_counts_events_twice(self):
        aggregate_events()
        aggregate_events()

    def test_looks_and_alerts(self, monkeypatch):
        faults: list[Exception] = []
        monkeypatch.setattr("jobs.log_events.watch_failed", faults.append)
        alerts.raise_alert(AlertKind.RELAY_LAG, fingerprint="lag", message="It lags", data={})
        alerts.raise_alert(AlertKind.RELAY_LAG, fingerprint="lag", message="It lags", data={})
        watch.look()

        assert (Alert.objects.count(), faults) == (1, [])


class TestPeople:
    def test_are_invited_and_signed_in(self, acme, ann, client):
        client.force_login(ann)

        assert invite(acme, ann).expires_at > timezone.now()
        assert Session.objects.get().expire_date > timezone.now()


class TestEndpoints:
    def test_are_tried_held_and_kept(self, acme, settings):
        settings.NOTIFICATIONS_BREAKER_FAILURES = 1
        endpoint = make_endpoint(acme)
        attempt(make_delivery(endpoint))

        assert is_held(endpoint)
        assert not breaker.has_failed_for_days(endpoint.pk)

    def test_get_a_secret_beside_the_old_one(self, acme):
        endpoint = make_endpoint(acme)
        endpoints.rotate_secret(tenant_id=acme.pk, endpoint_id=endpoint.pk)

        assert anew(endpoint).previous_secret_until > timezone.now()

"""What records events: sign-ins and exports; and what never does."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from exports.operations import cancel_export, request_export, retry_export
from exports.states import ExportStatus
from jobs import enqueue
from jobs.alerts.operations import SEND_ALERT, raise_alert
from jobs.engine import lifecycle
from jobs.errors import MoveRefused
from jobs.models import Event, Job
from jobs.states import SYSTEM_TENANT, AlertKind, JobState
from jobs.testing import run_enqueued_jobs
from tests.people import PASSWORD, make_member, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.EXPORTS_STORAGE_URL = f"file://{tmp_path / 'exports'}"


def recorded() -> list[tuple[str, str]]:
    """Return the name and the tenant of every event, in order."""
    rows = Event.objects.order_by("pk").values_list("name", "tenant_id")
    return [(name, str(tenant)) for name, tenant in rows]


def sign_in(client, email="ann@acme.example", password=PASSWORD):
    return client.post("/sign-in", {"username": email, "password": password})


class TestASignIn:
    def test_is_an_event_of_the_chosen_tenant(self, client, acme):
        make_member(acme)
        sign_in(client)
        assert recorded() == [("user.signed_in", str(acme.pk))]

    def test_is_the_systems_for_a_member_of_none(self, client):
        make_user()
        sign_in(client)
        assert recorded() == [("user.signed_in", SYSTEM_TENANT)]

    def test_is_none_with_a_wrong_password(self, client, acme):
        make_member(acme)
        sign_in(client, password="wrong")
        assert recorded() == []


class TestAnExport:
    def request(self, tenant):
        return request_export(tenant_id=tenant.pk, user_id=None, dataset="items", format="csv")

    def test_is_requested_and_completed(self, acme):
        self.request(acme)
        run_enqueued_jobs()
        assert recorded() == [
            ("export.requested", str(acme.pk)),
            ("export.completed", str(acme.pk)),
        ]

    def test_was_never_requested_when_that_is_rolled_back(self, acme):
        with transaction.atomic():
            self.request(acme)
            transaction.set_rollback(True)
        assert recorded() == []

    def test_fails_once_and_completes_once_when_it_is_retried(self, acme, monkeypatch):
        export = self.request(acme)
        with monkeypatch.context() as broken:
            broken.setattr("exports.tasks.get_dataset", None)
            run_enqueued_jobs(raise_errors=False)
        export.refresh_from_db()
        assert export.status == ExportStatus.FAILED

        retry_export(tenant_id=acme.pk, export_id=export.pk, by="ann")
        run_enqueued_jobs()

        names = [name for name, _ in recorded()]
        assert names == ["export.requested", "export.failed", "export.completed"]

    def test_is_cancelled(self, acme):
        export = self.request(acme)
        cancel_export(tenant_id=acme.pk, export_id=export.pk, by="ann")
        assert [name for name, _ in recorded()] == ["export.requested", "export.cancelled"]

    def test_completes_for_nobody_whose_settle_is_refused(self, acme):
        # Given a worker whose job was taken over
        export = self.request(acme)
        lifecycle.take_due(100)
        queued = Job.objects.get(pk=export.job_id)
        zombie = lifecycle.claim(queued.pk, queued.dispatch, worker="first")
        assert zombie
        Job.objects.update(attempt=2)

        # When it comes back to report success
        with pytest.raises(MoveRefused):
            lifecycle.succeed(zombie)

        # Then no event tells of it
        assert [name for name, _ in recorded()] == ["export.requested"]


class TestJobsOfTheLaneAlerts:
    def test_record_no_event_of_their_own(self, settings):
        settings.ALERT_EMAIL = ["ops@offload.example"]
        raise_alert(AlertKind.RELAY_LAG, fingerprint="relay_lag", message="It lags", data={})
        [job] = Job.objects.filter(type=SEND_ALERT)

        run_enqueued_jobs()

        job.refresh_from_db()
        assert (job.state, recorded()) == (JobState.SUCCEEDED, [])


class TestTheAggregateItself:
    def test_records_no_event(self):
        enqueue("metrics.aggregate_metrics", run_at=timezone.now() - timedelta(seconds=1))
        run_enqueued_jobs()
        assert recorded() == []

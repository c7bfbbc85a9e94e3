"""Events on their way to endpoints that subscribe, and to the person who asked for what ended."""

import json

import pytest
from django.core import mail as django_mail
from django.db import transaction

from exports.models import Export
from jobs.announcements import announce
from jobs.dead_letters.record import record
from jobs.engine import lifecycle
from jobs.models import Job
from jobs.operations import cancel_job
from jobs.testing import run_enqueued_jobs
from notifications.models import Notification, WebhookDelivery, WebhookEndpoint
from notifications.operations import deliveries, endpoints, preferences
from project.accounts.models import Membership
from tests.announcements import ANNOUNCE, export, mailed, told
from tests.dead import dead_message_of
from tests.deliveries import deliver
from tests.drills import make_job, run_atomic, take
from tests.letters import make_letter
from tests.outgoing import make_delivery, make_endpoint
from tests.people import make_member, make_tenant

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("patient_breaker")]


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.EXPORTS_STORAGE_URL = f"file://{tmp_path / 'exports'}"


@pytest.fixture
def ann(acme):
    return make_member(acme)


def fail_export(acme, ann):
    """Let an export end as failed, and its dead letter be stored."""
    job = export(acme, ann).job
    Job.objects.filter(pk=job.pk).update(state="running", dispatch=1, attempt=1)
    job.refresh_from_db()
    lifecycle.fail(job, OSError("disk is full"), message_follows=True)
    record(dead_message_of(job))
    return job


class TestAnExport:
    def test_that_is_completed_is_told_to_who_asked_and_who_subscribes(self, acme, ann):
        all_events, named = (
            make_endpoint(acme),
            make_endpoint(acme, event_types=["export.completed"]),
        )
        other_event = make_endpoint(acme, event_types=["export.failed"])
        disabled = make_endpoint(acme, enabled=False)
        foreign = make_endpoint(make_tenant("other"))
        asked = export(acme, ann)

        run_enqueued_jobs(raise_errors=False)

        assert told(all_events) == told(named) == ["export.completed"]
        assert told(other_event) == told(disabled) == told(foreign) == []
        assert mailed() == [(ann.email, "An export is ready to be downloaded")]
        assert [message.to for message in django_mail.outbox] == [[ann.email]]
        body = json.loads(WebhookDelivery.objects.filter(endpoint=named.pk).get().body)
        now = Export.objects.get()
        assert body["type"] == "export.completed"
        assert body["data"] == {
            "export_id": str(asked.pk), "dataset": "items", "format": "csv", "error": None,
            "row_count": now.row_count, "size_bytes": now.size_bytes, "sha256": now.sha256,
        }  # fmt: skip

    def test_that_failed_is_told_once_to_the_person_and_twice_to_endpoints(self, acme, ann):
        endpoint = make_endpoint(acme)
        fail_export(acme, ann)

        run_enqueued_jobs(raise_errors=False)

        assert told(endpoint) == ["export.failed", "job.dead_lettered"]
        assert mailed() == [(ann.email, "An export has failed")]

    def test_that_is_cancelled_is_told_to_nobody(self, acme, ann):
        endpoint = make_endpoint(acme)
        cancel_job(job_id=export(acme, ann).job_id, by="ann")
        run_enqueued_jobs()
        assert (told(endpoint), mailed()) == ([], [])
        assert not Job.objects.filter(type=ANNOUNCE).exists()

    def test_that_nobody_asked_for_is_mailed_to_nobody(self, acme):
        endpoint = make_endpoint(acme)
        export(acme)
        run_enqueued_jobs(raise_errors=False)
        assert (told(endpoint), mailed()) == (["export.completed"], [])


class TestThePerson:
    def test_who_wants_no_such_mail_gets_none(self, acme, ann):
        preferences.set_preferences(ann.pk, {"export.completed": False})
        export(acme, ann)
        run_enqueued_jobs()
        assert mailed() == []

    def test_who_wants_no_other_mail_gets_this_one(self, acme, ann):
        preferences.set_preferences(ann.pk, {"export.failed": False})
        export(acme, ann)
        run_enqueued_jobs()
        assert len(mailed()) == 1

    def test_who_is_locked_out_gets_none(self, acme, ann):
        export(acme, ann)
        type(ann).objects.update(is_active=False)
        run_enqueued_jobs()
        assert mailed() == []

    def test_who_is_no_longer_a_member_gets_none(self, acme, ann):
        Membership.objects.create(tenant=make_tenant("other"), user=ann)
        export(acme, ann)
        Membership.objects.filter(tenant=acme).delete()
        run_enqueued_jobs()
        assert mailed() == []

    def test_who_is_deleted_gets_none(self, acme, ann):
        endpoint = make_endpoint(acme)
        export(acme, ann)
        [message] = take()
        deliver(message)
        ann.delete()
        run_enqueued_jobs(raise_errors=False)
        assert (told(endpoint), mailed()) == (["export.completed"], [])


class TestADeadLetter:
    def test_is_told_to_who_asked_and_who_subscribes(self, acme, ann):
        endpoint = make_endpoint(acme, event_types=["job.dead_lettered"])
        letter = make_letter(OSError("disk is full"), tenant_id=acme.pk, user_id=ann.pk)

        run_enqueued_jobs(raise_errors=False)

        assert told(endpoint) == ["job.dead_lettered"]
        assert mailed() == [(ann.email, "A job could not be done")]
        assert json.loads(WebhookDelivery.objects.get().body)["data"] == {
            "incident_id": str(letter.incident_id), "dead_letter_id": str(letter.pk),
            "job_id": str(letter.job_id), "type": run_atomic.name, "count": 1,
            "error": "OSError: disk is full", "attempts": 1,
        }  # fmt: skip


class TestAnAnnouncement:
    def tell(self, tenant, **changes):
        event = {"tenant_id": tenant.pk, "user_id": None, "data": {"a": 1}, **changes}
        announce("export.completed", **event)

    def test_is_all_or_nothing(self, acme, ann, monkeypatch):
        for _ in range(3):
            make_endpoint(acme)
        stored: list[WebhookDelivery] = []
        store = deliveries.store

        def crash_at_the_third(*arguments, **named):
            if len(stored) == 2:
                raise RuntimeError("crash")
            stored.append(store(*arguments, **named))

        monkeypatch.setattr(deliveries, "store", crash_at_the_third)
        self.tell(acme, user_id=ann.pk)
        [message] = take()

        assert deliver(message) == "acknowledged: retried"
        assert (WebhookDelivery.objects.count(), Job.objects.count()) == (0, 1)

        assert Job.objects.get().state == "retrying"

    def test_that_rolls_back_was_never_made(self, acme):
        def announce_and_crash():
            with transaction.atomic():
                self.tell(acme)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            announce_and_crash()
        assert not Job.objects.exists()

    def test_reaches_nobody_where_no_task_is_named(self, acme, ann, settings):
        settings.JOBS_ANNOUNCE_TASK = ""
        endpoint = make_endpoint(acme)
        export(acme, ann)
        fail_export(acme, ann)
        run_enqueued_jobs()
        assert (told(endpoint), mailed()) == ([], [])
        assert set(Export.objects.values_list("status", flat=True)) == {"completed", "failed"}

    def test_is_made_once_by_a_job_that_is_delivered_twice(self, acme):
        endpoint = make_endpoint(acme)
        self.tell(acme)
        [message] = take()
        assert [deliver(message) for _ in range(2)][1] == "acknowledged: ignored"
        assert told(endpoint) == ["export.completed"]

    def test_of_a_type_that_the_product_does_not_know_is_mailed_to_nobody(self, acme, ann):
        endpoint = make_endpoint(acme)
        announce("lamp.lit", tenant_id=acme.pk, user_id=ann.pk, data={})
        run_enqueued_jobs(raise_errors=False)
        assert (told(endpoint), mailed()) == (["lamp.lit"], [])

    def test_of_the_systems_own_reaches_no_tenant(self, acme):
        endpoint = make_endpoint(acme)
        announce("export.completed", tenant_id=None, user_id=None, data={})
        run_enqueued_jobs()
        assert told(endpoint) == []

    def test_shows_its_mail_without_what_would_be_markup(self, acme, ann):
        announce(
            "export.failed", tenant_id=acme.pk, user_id=ann.pk,
            data={"dataset": "items", "error": "<script>alert(1)</script>"},
        )  # fmt: skip
        run_enqueued_jobs()
        html = Notification.objects.get().html.get_secret_value()
        assert "<script>" not in html
        assert "items" in html

    def test_has_the_same_bytes_for_all_endpoints(self, acme):
        for _ in range(2):
            make_endpoint(acme)
        self.tell(acme)
        run_enqueued_jobs(raise_errors=False)
        assert len(set(WebhookDelivery.objects.values_list("body", flat=True))) == 1

    def test_passes_by_an_endpoint_that_was_disabled_meanwhile(self, acme):
        endpoint = make_endpoint(acme)
        self.tell(acme)
        endpoints.disable_endpoint(endpoint.pk, "by hand")
        run_enqueued_jobs()
        assert WebhookEndpoint.objects.get().enabled is False
        assert told(endpoint) == []

    def test_does_not_stand_behind_what_a_tenant_delivers_itself(self, acme):
        endpoint = make_endpoint(acme)
        make_delivery(endpoint)
        make_job()
        self.tell(acme)
        run_enqueued_jobs(raise_errors=False)
        assert told(endpoint) == ["export.completed", "lamp.lit"]

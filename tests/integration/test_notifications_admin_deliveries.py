"""An operator and what was sent: again, not at all, or all that match."""

from ipaddress import ip_network

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse

from jobs.admin.base import ACTED_ON_AT_ONCE_MAX
from jobs.models import Job
from jobs.testing import run_enqueued_jobs
from notifications.models import WebhookDelivery, WebhookEndpoint
from notifications.operations.deliveries import cancel_delivery, request_delivery
from notifications.operations.mails import request_mail
from notifications.operations.resending import TASK
from notifications.states import DeliveryStatus
from tests import notification_pages as pages
from tests.notification_pages import CANARY, make_lamp_shop, page_of, text_of
from tests.people import OPERATOR
from tests.webhook_receiver import webhook_receiver

pytestmark = pytest.mark.django_db

LIST = reverse("admin:notifications_webhookdelivery_changelist")
MATCHING = reverse("admin:notifications_webhookdelivery_resend_matching")


@pytest.fixture
def endpoint(acme):
    return make_lamp_shop(acme)


def said(answer) -> list[str]:
    assert CANARY not in text_of(answer)
    return pages.said(answer)


def make_delivery(endpoint, event_type: str = "lamp.lit") -> WebhookDelivery:
    return request_delivery(
        tenant_id=endpoint.tenant_id,
        user_id=None,
        endpoint_id=endpoint.pk,
        event_type=event_type,
        data={},
    )


def make_failed(endpoint, event_type: str = "lamp.lit") -> WebhookDelivery:
    """Leave one that can be sent again."""
    delivery = make_delivery(endpoint, event_type)
    cancel_delivery(tenant_id=None, delivery_id=delivery.pk, by="a test")
    WebhookDelivery.objects.filter(pk=delivery.pk).update(status=DeliveryStatus.FAILED)
    return delivery


@pytest.fixture
def delivery(endpoint):
    return make_delivery(endpoint)


@pytest.fixture
def mail(acme):
    return request_mail(
        tenant_id=acme.pk, user_id=None, email="a@x.example", subject="Hello", html=f"<p>{CANARY}"
    )


def status_of(row) -> str:
    return str(type(row).objects.get(pk=row.pk).status)


@pytest.mark.parametrize("kind", ["delivery", "mail"])
class TestOne:
    @pytest.fixture
    def row(self, kind, request):
        return request.getfixturevalue(kind)

    def test_is_cancelled_once(self, admin, row):
        assert "Cancel this" in text_of(admin.get(page_of(row, "cancel")))
        assert status_of(row) == "queued"

        assert said(admin.post(page_of(row, "cancel"), follow=True)) == [f"Cancelled {row}."]
        again = admin.post(page_of(row, "cancel"), follow=True)

        assert status_of(row) == "cancelled"
        assert "can be cancelled" in said(again)[0]
        [entry] = LogEntry.objects.all()
        assert entry.change_message == f"Cancelled {row}."

    def test_is_sent_again_once(self, admin, row):
        admin.post(page_of(row, "cancel"))
        assert "again" in text_of(admin.get(page_of(row, "resend")))
        assert status_of(row) == "cancelled"

        first = admin.post(page_of(row, "resend"), follow=True)
        again = admin.post(page_of(row, "resend"), follow=True)

        assert said(first) == [f"Queued {row} again."]
        assert "is queued; only what has ended is sent again" in said(again)[0]
        assert status_of(row) == "queued"
        assert Job.objects.count() == 2
        assert Job.objects.filter(replay_of__isnull=False).count() == 1

    def test_is_offered_what_its_status_allows(self, admin, row):
        def offered() -> set[str]:
            page = text_of(admin.get(page_of(row)))
            return {action for action in ("cancel", "resend") if page_of(row, action) in page}

        assert offered() == {"cancel"}
        admin.post(page_of(row, "cancel"))
        assert offered() == {"resend"}

    def test_knows_no_nonsense(self, admin, row):
        type(row).objects.all().delete()
        for action in ("cancel", "resend"):
            assert admin.post(page_of(row, action)).status_code == 404


class TestSelected:
    @pytest.mark.parametrize(
        ("kind", "noun"), [("delivery", "webhook delivery"), ("mail", "notification")]
    )
    def test_are_cancelled_and_sent_again_after_asking(self, admin, kind, noun, request):
        row = request.getfixturevalue(kind)
        address = reverse(f"admin:notifications_{row._meta.model_name}_changelist")
        for action, title, status in (
            ("cancel_selected", "Cancel 1", "cancelled"),
            ("resend_selected", "Resend 1", "queued"),
        ):
            chosen = {"action": action, "_selected_action": [str(row.pk)]}
            assert f"{title} {noun}<" in text_of(admin.post(address, chosen))
            assert status_of(row) != status
            admin.post(address, chosen | {"asked": "1"})
            assert status_of(row) == status

    def test_that_refuse_keep_no_others_back(self, admin, endpoint, delivery):
        other = make_failed(endpoint)
        chosen = {"action": "resend_selected", "_selected_action": [delivery.pk, other.pk]}
        words = said(admin.post(LIST, chosen | {"asked": "1"}, follow=True))
        assert sorted(words) == sorted(
            [
                f"Delivery {delivery.pk} is queued; only what has ended is sent again.",
                f"Queued {other} again.",
            ]
        )

    def test_are_not_more_than_one_request_can_do(self, admin, endpoint):
        rows = [
            WebhookDelivery(tenant=endpoint.tenant, endpoint=endpoint, event_type="a.b", body="{}")
            for _ in range(ACTED_ON_AT_ONCE_MAX + 1)
        ]
        WebhookDelivery.objects.bulk_create(rows)
        chosen = {"action": "resend_selected", "select_across": "1"}
        answer = admin.post(LIST, chosen | {"_selected_action": [rows[0].pk]}, follow=True)
        assert "use the button above the list" in said(answer)[0]


class TestAllThatMatch:
    @pytest.fixture
    def address(self, endpoint):
        return f"{MATCHING}?endpoint={endpoint.pk}"

    def test_are_offered_above_the_list_of_one_endpoint(self, admin, endpoint, delivery):
        assert MATCHING not in text_of(admin.get(LIST))
        shown = {"endpoint": endpoint.pk, "status__exact": "cancelled", "event_type": "lamp.lit"}
        assert MATCHING in text_of(admin.get(LIST, shown))
        form = admin.get(f"{MATCHING}?endpoint={endpoint.pk}&status=cancelled&event_type=lamp.lit")
        assert form.context["form"].initial == {"status": "cancelled", "event_type": "lamp.lit"}

    def test_are_counted_and_asked_about_before_they_are_sent(self, admin, endpoint, address):
        for _ in range(3):
            make_failed(endpoint)
        make_failed(endpoint, event_type="lamp.broken")
        assert "The lamp shop (hooks.example)" in text_of(admin.get(address))

        given = {"status": "failed", "event_type": "lamp.lit", "since": "2020-01-01T00:00"}
        asked = admin.post(address, given)
        assert "Send 3 again" in text_of(asked)
        assert asked.context["what"] == (
            "Deliveries that are failed, of the type lamp.lit, created since 2020-01-01 00:00:00 "
            "UTC, to The lamp shop (hooks.example): 3 now."
        )
        assert not Job.objects.filter(type=TASK).exists()

        answer = admin.post(address, {**dict(asked.context["kept"]), "asked": "1"}, follow=True)
        job = Job.objects.get(type=TASK)
        words = f"Job {job.pk} sends 3 deliveries to The lamp shop again."
        assert said(answer) == [words]
        assert job.payload["event_type"] == "lamp.lit"
        assert job.payload["since"].startswith("2020-01-01T00:00")
        assert str(LogEntry.objects.get().user) == OPERATOR
        assert LogEntry.objects.get().change_message == words

    def test_may_be_a_single_one(self, admin, endpoint, address):
        make_failed(endpoint)
        answer = admin.post(address, {"status": "failed", "asked": "1"}, follow=True)
        job = Job.objects.get(type=TASK)
        assert said(answer) == [f"Job {job.pk} sends 1 delivery to The lamp shop again."]

    def test_are_sent_by_their_job(self, admin, endpoint, address, settings):
        settings.NOTIFICATIONS_TRUSTED_NETWORKS = (ip_network("127.0.0.0/8"),)
        failed = [make_failed(endpoint) for _ in range(2)]
        admin.post(address, {"status": "failed", "asked": "1"})
        with webhook_receiver() as receiver:
            WebhookEndpoint.objects.update(url=receiver.url)
            run_enqueued_jobs()
        sent = {request.headers["webhook-id"] for request in receiver.requests}
        assert sent == {str(delivery.pk) for delivery in failed}

    def test_may_be_none(self, admin, address):
        answer = admin.post(address, {"status": "failed"})
        assert said(answer) == ["No delivery matches."]
        assert "Count what matches" in text_of(answer)

    @pytest.mark.parametrize(
        ("given", "error"),
        [
            ({"status": "queued"}, "Select a valid choice"),
            ({"status": ""}, "This field is required"),
            ({"event_type": "<script>"}, "is no event type"),
            ({"since": "yesterday"}, "Enter a valid date/time"),
            ({"event_type": "\x00"}, "Null characters are not allowed"),
        ],
    )
    def test_are_not_sent_for_nonsense(self, admin, endpoint, address, given, error):
        make_failed(endpoint)
        for asked in ({}, {"asked": "1"}):
            page = text_of(admin.post(address, {"status": "failed", **given, **asked}))
            assert error in page
            assert "<script>&" not in page
        assert not Job.objects.filter(type=TASK).exists()

    def test_are_not_sent_to_a_disabled_endpoint(self, admin, endpoint, address):
        make_failed(endpoint)
        WebhookEndpoint.objects.update(enabled=False)
        answer = admin.post(address, {"status": "failed", "asked": "1"}, follow=True)
        assert "is disabled" in said(answer)[0]
        assert not Job.objects.filter(type=TASK).exists()

    @pytest.mark.parametrize("query", ["", "?endpoint=", "?endpoint=acme", "?endpoint=\x00"])
    def test_need_an_endpoint(self, admin, query):
        assert admin.get(f"{MATCHING}{query}").status_code == 404

    def test_are_unknown_for_an_endpoint_that_is_gone(self, admin, endpoint, address):
        WebhookEndpoint.objects.all().delete()
        assert admin.post(address, {"status": "failed", "asked": "1"}).status_code == 404

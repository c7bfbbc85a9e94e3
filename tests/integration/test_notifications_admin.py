"""The admin's pages of mails, endpoints and deliveries: what they show, and what they ask of it."""

import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from jobs.dead_letters.record import record
from jobs.engine import lifecycle
from jobs.models import Job
from notifications.models import (
    DeliveryAttempt,
    MailPreference,
    Notification,
    WebhookDelivery,
    WebhookEndpoint,
)
from tests.dead import dead_message_of
from tests.notification_pages import CANARY, HOSTILE, leave_rows, list_of, page_of, text_of
from tests.people import make_user

pytestmark = pytest.mark.django_db

ENCRYPTED = ('"secret"', '"previous_secret"', '"html"')
SIZE = 'LENGTH("notifications_notification"."html")'  #: Which is no reading of it.
MODELS = {
    "webhookendpoint": WebhookEndpoint,
    "webhookdelivery": WebhookDelivery,
    "notification": Notification,
    "mailpreference": MailPreference,
}


@pytest.fixture
def row_of(acme):
    """One row of each model, by the model's name."""
    leave_rows(acme, 1)
    return {name: model._default_manager.get() for name, model in MODELS.items()}


@pytest.mark.parametrize("model", MODELS)
class TestEveryList:
    def test_opens_with_twenty_rows(self, admin, acme, model):
        leave_rows(acme, 20)
        assert text_of(admin.get(list_of(model))).count("<tbody") >= 20

    def test_asks_no_more_of_the_database_for_more_rows(self, admin, acme, model):
        leave_rows(acme, 5)
        admin.get(list_of(model))  # Fills what is kept between requests.
        with CaptureQueriesContext(connection) as few:
            admin.get(list_of(model))
        leave_rows(acme, 45)
        with CaptureQueriesContext(connection) as many:
            admin.get(list_of(model))
        assert len(many) == len(few)

    def test_never_reads_what_is_encrypted(self, admin, acme, model):
        leave_rows(acme, 2)
        with CaptureQueriesContext(connection) as queries:
            page = text_of(admin.get(list_of(model)))
        asked = " ".join(query["sql"] for query in queries)
        assert not any(column in asked for column in ENCRYPTED)
        assert CANARY not in page

    def test_has_no_place_for_a_whole_url(self, admin, row_of, model):
        assert "secret-path" not in text_of(admin.get(list_of(model)))

    def test_is_for_those_who_may_see_its_rows(self, client, row_of, model):
        client.force_login(make_user("nobody@offload.example", is_staff=True))
        for address in (list_of(model), page_of(row_of[model])):
            assert client.get(address).status_code == 403


@pytest.mark.parametrize("model", MODELS)
class TestEveryPage:
    def test_opens_and_never_reads_what_is_encrypted(self, admin, row_of, model):
        with CaptureQueriesContext(connection) as queries:
            page = text_of(admin.get(page_of(row_of[model])))
        read = " ".join(query["sql"] for query in queries).replace(SIZE, "")
        assert not any(column in read for column in ENCRYPTED)
        assert CANARY not in page

    def test_has_a_history(self, admin, row_of, model):
        history = reverse(f"admin:notifications_{model}_history", args=[row_of[model].pk])
        assert CANARY not in text_of(admin.get(history))

    def test_shows_hostile_contents_as_text(self, admin, acme, model):
        leave_rows(acme, 1, text=HOSTILE)
        WebhookDelivery.objects.update(
            body=f'{{"x": "{HOSTILE}"}}', error=HOSTILE, event_type=HOSTILE
        )
        DeliveryAttempt.objects.update(excerpt=HOSTILE, error=HOSTILE)
        Notification.objects.update(error=HOSTILE, email=HOSTILE)
        MailPreference.objects.update(event_type=HOSTILE)
        WebhookEndpoint.objects.update(
            url=f"https://{HOSTILE}/", event_types=[HOSTILE], disabled_reason=HOSTILE, enabled=False
        )
        row = MODELS[model]._default_manager.get()
        for address in (list_of(model), page_of(row)):
            page = text_of(admin.get(address))
            assert HOSTILE not in page
            assert "&lt;script&gt;alert(1)" in page


class TestFilters:
    @pytest.fixture
    def delivery(self, row_of):
        return row_of["webhookdelivery"]

    def test_narrow_deliveries(self, admin, delivery):
        page, nobody = page_of(delivery), str(uuid.uuid4())
        for given, found in (
            ({"status__exact": "delivered"}, True),
            ({"status__exact": "failed"}, False),
            ({"event_type": "lamp.lit"}, True),
            ({"event_type": "export.failed"}, False),
            ({"endpoint": str(delivery.endpoint_id)}, True),
            ({"endpoint": nobody}, False),
        ):
            assert (page in text_of(admin.get(list_of("webhookdelivery"), given))) == found

    @pytest.mark.usefixtures("delivery")
    @pytest.mark.parametrize("nonsense", ["acme", "\x00", HOSTILE])
    @pytest.mark.parametrize("name", ["endpoint", "event_type"])
    def test_start_anew_for_what_can_not_be(self, admin, name, nonsense):
        assert admin.get(list_of("webhookdelivery"), {name: nonsense}).status_code == 302

    def test_narrow_endpoints_and_mails(self, admin, row_of):
        endpoint, mail = row_of["webhookendpoint"], row_of["notification"]
        for row, given, found in (
            (endpoint, {"enabled__exact": "1"}, True),
            (endpoint, {"enabled__exact": "0"}, False),
            (mail, {"status__exact": "queued"}, True),
            (mail, {"status__exact": "sent"}, False),
        ):
            page = text_of(admin.get(list_of(row._meta.model_name), given))
            assert (page_of(row) in page) == found


class TestADelivery:
    def test_shows_its_body_its_attempts_its_job_and_its_dead_letter(self, admin, row_of):
        delivery = row_of["webhookdelivery"]
        job = Job.objects.get(pk=delivery.job_id)
        lifecycle.fail(job, OSError("no route"), message_follows=True)
        letter = record(dead_message_of(job))
        assert letter
        DeliveryAttempt.objects.filter(number=2).update(
            status_code=503, latency_ms=1234, error="The receiver answered 503.", excerpt="Sorry"
        )
        page = text_of(admin.get(page_of(delivery)))
        assert "&quot;a&quot;: 1" in page
        assert reverse("admin:jobs_job_change", args=[job.pk]) in page
        assert reverse("admin:jobs_deadletter_change", args=[letter.pk]) in page
        assert "1,234 ms" in page
        assert "The receiver answered 503." in page
        assert "Sorry" in page

    def test_survives_a_job_that_was_deleted_and_a_body_that_is_no_json(self, admin, row_of):
        delivery = row_of["webhookdelivery"]
        Job.objects.all().delete()
        WebhookDelivery.objects.update(body="{no")
        assert "{no" in text_of(admin.get(page_of(delivery)))

    def test_says_to_the_second_when_each_attempt_began(self, admin, row_of):
        at = datetime(2026, 11, 25, 20, 32, 7, tzinfo=UTC)
        DeliveryAttempt.objects.update(started_at=at)
        WebhookDelivery.objects.update(created_at=at - timedelta(seconds=1), settled_at=at)
        page = text_of(admin.get(page_of(row_of["webhookdelivery"])))
        assert page.count("2026-11-25 20:32:07 UTC") == 3
        assert "2026-11-25 20:32:06 UTC" in page

    @pytest.mark.parametrize("depth", [850, 5_000])
    def test_shows_a_body_that_is_too_deep_as_it_is(self, admin, row_of, depth):
        body = "[" * depth + "]" * depth
        WebhookDelivery.objects.update(body=body)
        assert body in text_of(admin.get(page_of(row_of["webhookdelivery"])))

    def test_shows_half_of_a_character_as_it_is_spelled(self, admin, row_of):
        WebhookDelivery.objects.update(body='{"x":"\\ud800"}')
        assert "\\ud800" in text_of(admin.get(page_of(row_of["webhookdelivery"])))

    def test_does_not_make_megabytes_of_kilobytes(self, admin, row_of):
        body = "[" * 300 + ",".join("7" * 3_000) + "]" * 300
        WebhookDelivery.objects.update(body=body)
        page = text_of(admin.get(page_of(row_of["webhookdelivery"])))
        assert body in page
        assert len(page) < 200_000


class TestAMail:
    def test_says_how_large_its_text_is_and_why_it_is_not_shown(self, admin, row_of):
        mail = row_of["notification"]
        page = text_of(admin.get(page_of(mail)))
        assert "bytes, encrypted" in page.replace("\xa0", " ")
        assert "a link that works like a password" in page
        assert f"&lt;notification-{mail.pk}@" in page
        assert reverse("admin:jobs_job_change", args=[mail.job_id]) in page

    def test_says_to_the_second_when_it_ended(self, admin, row_of):
        at = datetime(2026, 11, 25, 20, 32, 7, tzinfo=UTC)
        Notification.objects.update(created_at=at, settled_at=at + timedelta(seconds=2))
        page = text_of(admin.get(page_of(row_of["notification"])))
        assert "2026-11-25 20:32:07 UTC" in page
        assert "2026-11-25 20:32:09 UTC" in page


class TestAStatus:
    @pytest.mark.parametrize(
        ("model", "status", "colour"),
        [
            ("webhookdelivery", "delivered", "bg-green-100"),
            ("webhookdelivery", "failed", "bg-red-100"),
            ("notification", "sent", "bg-green-100"),
            ("notification", "failed", "bg-red-100"),
        ],
    )
    def test_has_its_badge_in_the_list_and_on_the_page(self, admin, row_of, model, status, colour):
        MODELS[model]._default_manager.update(status=status)
        badge = re.compile(rf'<span class="[^"]*{colour}[^"]*"[^>]*>\s*{status}\s*</span>')
        for address in (list_of(model), page_of(row_of[model])):
            assert badge.search(text_of(admin.get(address))), address


class TestAnEndpoint:
    @pytest.fixture
    def endpoint(self, row_of):
        return row_of["webhookendpoint"]

    def state(self, admin, endpoint, **columns) -> str:
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(**columns)
        return text_of(admin.get(list_of("webhookendpoint"))) + text_of(
            admin.get(page_of(endpoint))
        )

    def test_says_that_all_is_well(self, admin, endpoint):
        page = self.state(admin, endpoint)
        assert "every event" in page
        assert "Closed: deliveries are sent as they come." in page
        assert "Signs beside the new one until" in page
        assert f"?endpoint={endpoint.pk}" in page

    def test_says_why_it_is_disabled(self, admin, endpoint):
        page = self.state(admin, endpoint, enabled=False, disabled_reason="answered 410 Gone")
        assert "answered 410 Gone" in page
        assert "nothing is sent while the endpoint is disabled" in page

    def test_says_how_its_breaker_is(self, admin, endpoint):
        now = timezone.now()
        counted = self.state(admin, endpoint, failures_in_a_row=2)
        assert "Failures in a row: 2 of the 5 that open it." in counted
        open_until = now + timedelta(minutes=5)
        page = self.state(admin, endpoint, open_until=open_until, failures_in_a_row=5)
        assert f"breaker open until {open_until:%H:%M:%S} UTC" in page
        assert "after 5 failures in a row: deliveries wait" in page
        page = self.state(admin, endpoint, open_until=now - timedelta(seconds=1))
        assert "half open" in page
        assert "the next delivery tries whether the endpoint works" in page

    def test_is_only_to_be_read_by_those_who_may_only_see_it(self, client, endpoint):
        user = make_user("reader@offload.example", is_staff=True)
        user.user_permissions.add(Permission.objects.get(codename="view_webhookendpoint"))
        client.force_login(user)
        page = text_of(client.get(page_of(endpoint)))
        assert "https://hooks.example/secret-path" in page
        assert 'name="url"' not in page
        assert client.post(page_of(endpoint), {"url": "https://x.example/"}).status_code == 403

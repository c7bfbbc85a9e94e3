"""An operator and webhook endpoints: forms, actions, and a secret that is seen once."""

import re
import uuid
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse
from django.utils import timezone

from jobs.holds import hold_partition
from jobs.models import Job, PartitionHold
from notifications.events import TEST_EVENT
from notifications.models import DeliveryAttempt, WebhookDelivery, WebhookEndpoint
from notifications.operations.breaker import partition_of
from notifications.operations.deliveries import request_test
from project.accounts.models import Tenant
from tests.notification_pages import CANARY, make_lamp_shop, page_of, said, text_of
from tests.people import OPERATOR

pytestmark = pytest.mark.django_db

SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]+")
LIST = reverse("admin:notifications_webhookendpoint_changelist")
ADD = reverse("admin:notifications_webhookendpoint_add")
DELIVERIES = reverse("admin:notifications_webhookdelivery_changelist")


@pytest.fixture
def endpoint(acme):
    return make_lamp_shop(acme)


@pytest.fixture
def wanted(acme):
    return {
        "tenant": acme.pk,
        "url": "HTTPS://Hooks.Example:443/lamps",
        "known_types": ["export.completed"],
        "own_types": "lamp.lit, lamp.broken",
        "description": "The lamp shop",
    }


def changed(endpoint) -> WebhookEndpoint:
    return WebhookEndpoint.objects.get(pk=endpoint.pk)


class TestCreate:
    def test_keeps_the_form_of_who_describes_it_in_two_lines(self, admin, wanted):
        answer = admin.post(ADD, wanted | {"description": "The lamp\u202e shop"})
        page = text_of(answer)
        assert "The description must not turn the reading direction around" in page
        assert wanted["url"] in page
        assert not WebhookEndpoint.objects.exists()

    def test_stores_what_was_asked_for(self, admin, wanted, acme):
        assert "Every event" in text_of(admin.get(ADD))
        admin.post(ADD, wanted)
        endpoint = WebhookEndpoint.objects.get()
        assert endpoint.url == "https://hooks.example/lamps"
        assert endpoint.event_types == ["export.completed", "lamp.broken", "lamp.lit"]
        assert (endpoint.tenant, endpoint.description) == (acme, "The lamp shop")
        assert str(endpoint.created_by) == OPERATOR
        assert endpoint.enabled

    def test_shows_its_secret_once(self, admin, wanted):
        page = text_of(admin.post(ADD, wanted, follow=True))
        endpoint = WebhookEndpoint.objects.get()
        secret = endpoint.secret.get_secret_value()
        assert f"Copy the secret now, it is not shown again: {secret}" in page
        for address in (LIST, page_of(endpoint), page_of(endpoint, "history"), ADD):
            assert not SECRET.search(text_of(admin.get(address)))
        assert secret not in str(LogEntry.objects.values_list("change_message", "object_repr"))

    @pytest.mark.parametrize(
        ("url", "reason"),
        [
            ("https://127.0.0.1/x", "leads to"),
            ("http://hooks.example/", "must begin with https://"),
            ("https://ann:secret@hooks.example/", "holds a user name or password"),
            ("ftp://hooks.example/", "has a scheme that is not https"),
            ("https://hooks.example:22/", "has port 22"),
            ("no url", "holds white space"),
        ],
    )
    def test_says_at_the_field_why_a_url_is_refused(self, admin, wanted, url, reason):
        answer = admin.post(ADD, wanted | {"url": url})
        [error] = answer.context["adminform"].form.errors["url"]
        assert error.startswith("The URL ")
        assert reason in error
        assert not WebhookEndpoint.objects.exists()

    @pytest.mark.parametrize(
        ("given", "field", "error"),
        [
            ({"known_types": [], "own_types": ""}, "known_types", "Choose at least one event."),
            ({"own_types": "Lamp!"}, "own_types", "is no event type"),
            ({"own_types": "*<script>"}, "own_types", "is no event type"),
            ({"known_types": ["lamp.lit"]}, "known_types", "Select a valid choice"),
            ({"url": ""}, "url", "This field is required."),
            ({"description": "x" * 201}, "description", "at most 200 characters"),
            ({"tenant": ""}, "tenant", "This field is required."),
        ],
    )
    def test_says_at_the_field_what_else_is_refused(self, admin, wanted, given, field, error):
        answer = admin.post(ADD, wanted | given)
        assert error in str(answer.context["adminform"].form.errors[field])
        assert "<script>" not in str(answer.context["adminform"].form.errors)
        assert not WebhookEndpoint.objects.exists()

    def test_takes_every_event(self, admin, wanted):
        admin.post(ADD, wanted | {"known_types": ["*"], "own_types": ""})
        assert WebhookEndpoint.objects.get().event_types == ["*"]

    def test_says_that_a_tenant_has_as_many_as_it_may(self, admin, wanted, endpoint, settings):
        settings.NOTIFICATIONS_ENDPOINTS_MAX = 1
        answer = admin.post(ADD, wanted, follow=True)
        assert said(answer)[-1] == "A tenant has at most 1 webhook endpoints; delete one first."
        assert not SECRET.search(text_of(answer))
        assert WebhookEndpoint.objects.count() == 1
        assert not LogEntry.objects.exists()


class TestChange:
    def test_shows_what_is_stored(self, admin, endpoint):
        page = text_of(admin.get(page_of(endpoint)))
        assert 'value="https://hooks.example/lamps"' in page
        assert 'value="lamp.lit"' in page
        assert re.search(r'value="export.failed"[^>]*checked', page)

    def test_changes_what_is_asked_for(self, admin, endpoint, wanted):
        given = wanted | {"url": "https://other.example/", "own_types": "", "description": ""}
        admin.post(page_of(endpoint), given)
        after = changed(endpoint)
        assert after.url == "https://other.example/"
        assert after.event_types == ["export.completed"]
        assert after.description == ""
        assert after.secret.get_secret_value() == CANARY

    def test_leaves_alone_what_another_has_changed_meanwhile(self, admin, endpoint):
        form = {"url": endpoint.url, "known_types": ["export.failed"], "own_types": "lamp.lit"}
        answer = admin.post(page_of(endpoint), form | {"description": "Renamed"}, follow=True)
        assert changed(endpoint).event_types == ["export.failed", "lamp.lit"]
        assert changed(endpoint).description == "Renamed"
        assert not SECRET.search(text_of(answer))

    def test_keeps_tenant_and_secret_whatever_is_posted(self, admin, endpoint, wanted):
        other = Tenant.objects.create(name="Globex", slug="globex")
        hostile = {"tenant": other.pk, "secret": "whsec_x", "enabled": "", "open_until": "x"}
        admin.post(page_of(endpoint), wanted | hostile)
        after = changed(endpoint)
        assert after.tenant == endpoint.tenant
        assert after.enabled
        assert after.secret.get_secret_value() == CANARY

    def test_says_why_a_url_is_refused(self, admin, endpoint, wanted):
        answer = admin.post(page_of(endpoint), wanted | {"url": "https://10.0.0.1/"})
        assert "The URL leads to" in str(answer.context["adminform"].form.errors["url"])
        assert changed(endpoint).url == endpoint.url


class TestDelete:
    @pytest.fixture(autouse=True)
    def under_way(self, endpoint):
        delivery = request_test(tenant_id=None, user_id=None, endpoint_id=endpoint.pk)
        DeliveryAttempt.objects.create(delivery=delivery, number=1, job_id=uuid.uuid4())

    def test_asks_first_and_counts_what_goes_with_it(self, admin, endpoint):
        page = text_of(admin.get(page_of(endpoint, "delete")))
        assert "The lamp shop (hooks.example)" in page
        assert "Webhook deliveries: 1" in page
        assert "Deliveries on their way, which are cancelled: 1" in page
        assert WebhookEndpoint.objects.exists()

    def test_deletes_it_with_its_deliveries(self, admin, endpoint):
        answer = admin.post(page_of(endpoint, "delete"), {"post": "yes"}, follow=True)
        assert "was deleted successfully" in said(answer)[-1]
        assert not WebhookDelivery.objects.exists()
        assert LogEntry.objects.get().is_deletion()
        again = admin.post(page_of(endpoint, "delete"), {"post": "yes"}, follow=True)
        assert "Perhaps it was deleted?" in said(again)[-1]

    def test_deletes_the_selected_by_the_same_operation(self, admin, endpoint):
        hold_partition(partition_of(endpoint.pk), seconds=60)
        chosen = {"action": "delete_selected", "_selected_action": [str(endpoint.pk)]}
        assert "Webhook deliveries: 1" in text_of(admin.post(LIST, chosen))
        assert WebhookEndpoint.objects.exists()

        answer = admin.post(LIST, chosen | {"post": "yes"}, follow=True)

        assert "Successfully deleted 1 webhook endpoint" in said(answer)[-1]
        assert not WebhookEndpoint.objects.exists()
        assert not PartitionHold.objects.exists()


class TestActions:
    def act(self, admin, endpoint, action) -> str:
        asked = text_of(admin.get(page_of(endpoint, action)))
        answer = admin.post(page_of(endpoint, action), follow=True)
        assert not SECRET.search(asked + text_of(answer))
        return said(answer)[-1]

    def test_send_a_test(self, admin, endpoint):
        words = self.act(admin, endpoint, "test")
        delivery = WebhookDelivery.objects.get()
        assert words == f"A test is on its way to The lamp shop, as delivery {delivery.pk}."
        assert delivery.event_type == TEST_EVENT
        assert str(delivery.requested_by) == OPERATOR
        assert LogEntry.objects.get().change_message == words
        assert str(delivery.pk) in text_of(admin.get(DELIVERIES, {"endpoint": endpoint.pk}))

    def test_say_why_no_test_is_sent_to_a_disabled_one(self, admin, endpoint):
        WebhookEndpoint.objects.update(enabled=False, disabled_reason="answered 410 Gone")
        assert "is disabled: answered 410 Gone." in self.act(admin, endpoint, "test")
        assert not Job.objects.exists()
        assert not LogEntry.objects.exists()

    def test_disable_and_enable(self, admin, endpoint):
        assert self.act(admin, endpoint, "disable") == "The lamp shop is disabled now."
        assert changed(endpoint).disabled_reason == "by hand"
        assert self.act(admin, endpoint, "disable") == "The lamp shop is disabled already."
        assert self.act(admin, endpoint, "enable") == "The lamp shop is enabled now."
        assert self.act(admin, endpoint, "enable") == "The lamp shop is enabled already."
        assert changed(endpoint).enabled
        assert LogEntry.objects.count() == 2

    def test_close_the_breaker(self, admin, endpoint):
        until = timezone.now() + timedelta(hours=1)
        WebhookEndpoint.objects.update(open_until=until, failures_in_a_row=5, openings=3)
        hold_partition(partition_of(endpoint.pk), seconds=3600)
        assert "what waits is sent now" in self.act(admin, endpoint, "close_breaker")
        after = changed(endpoint)
        assert (after.open_until, after.failures_in_a_row, after.openings) == (None, 0, 0)
        assert not PartitionHold.objects.exists()
        assert "is closed already" in self.act(admin, endpoint, "close_breaker")

    def test_are_offered_where_they_make_sense(self, admin, endpoint):
        def offered() -> set[str]:
            page = text_of(admin.get(page_of(endpoint)))
            names = ("enable", "disable", "close_breaker")
            return {name for name in names if page_of(endpoint, name) in page}

        assert offered() == {"disable"}
        WebhookEndpoint.objects.update(enabled=False, failures_in_a_row=1)
        assert offered() == {"enable", "close_breaker"}

    def test_lead_to_sending_again(self, admin, endpoint):
        answer = admin.get(page_of(endpoint, "resend_matching"), follow=True)
        assert "Deliveries to The lamp shop (hooks.example)" in text_of(answer)

    def test_know_no_nonsense(self, admin, endpoint):
        WebhookEndpoint.objects.all().delete()
        for action in ("test", "enable", "disable", "close_breaker", "new_secret"):
            assert admin.get(page_of(endpoint, action)).status_code == 404
            assert admin.post(page_of(endpoint, action)).status_code == 404

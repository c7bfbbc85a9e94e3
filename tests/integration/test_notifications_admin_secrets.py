"""The secrets of webhook endpoints in the admin: a new one is seen once, others never."""

import re

import pytest
from cryptography.fernet import Fernet
from django.contrib.admin.models import LogEntry

from notifications.models import WebhookDelivery, WebhookEndpoint
from tests.notification_pages import CANARY, list_of, make_lamp_shop, page_of, said, text_of
from tests.people import make_tenant

pytestmark = pytest.mark.django_db

SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]+")
LIST, DELIVERIES = list_of("webhookendpoint"), list_of("webhookdelivery")


@pytest.fixture
def endpoint():
    return make_lamp_shop(make_tenant())


def changed(endpoint) -> WebhookEndpoint:
    return WebhookEndpoint.objects.get(pk=endpoint.pk)


class TestANewSecret:
    def ask(self, admin, endpoint) -> dict[str, str]:
        """Return what the page that asks would post."""
        answer = admin.get(page_of(endpoint, "new_secret"))
        assert "signs beside it for 24 hours" in text_of(answer)
        assert changed(endpoint).secret.get_secret_value() == CANARY
        return {"seen": answer.context["form"]["seen"].value()}

    def test_is_shown_once(self, admin, endpoint):
        answer = admin.post(page_of(endpoint, "new_secret"), self.ask(admin, endpoint), follow=True)
        after = changed(endpoint)
        secret = after.secret.get_secret_value()
        assert secret != CANARY
        assert after.previous_secret.get_secret_value() == CANARY
        page = text_of(answer)
        assert f"Copy the secret now, it is not shown again: {secret}" in page
        assert CANARY not in page
        for address in (LIST, page_of(endpoint), page_of(endpoint, "history")):
            assert not SECRET.search(text_of(admin.get(address)))
        assert SECRET.search(str(LogEntry.objects.get().change_message)) is None

    def test_is_made_once_by_a_double_click(self, admin, endpoint):
        asked = self.ask(admin, endpoint)
        admin.post(page_of(endpoint, "new_secret"), asked)
        first = changed(endpoint).secret.get_secret_value()
        again = admin.post(page_of(endpoint, "new_secret"), asked, follow=True)
        assert "has a new secret since you were asked" in said(again)[-1]
        assert changed(endpoint).secret.get_secret_value() == first
        assert changed(endpoint).previous_secret.get_secret_value() == CANARY


class TestASecretThatNoKeyFits:
    @pytest.fixture(autouse=True)
    def other_keys(self, endpoint, settings):
        settings.SECRETS_KEYS = [Fernet.generate_key().decode()]

    def test_keeps_no_page_from_opening(self, admin, endpoint):
        delivery = request_test_of(endpoint)
        for address in (LIST, DELIVERIES, page_of(endpoint), page_of(endpoint, "delete")):
            assert admin.get(address).status_code == 200
        assert admin.get(page_of(delivery)).status_code == 200

    @pytest.mark.parametrize("action", ["test", "disable", "new_secret"])
    def test_is_in_the_way_of_no_action(self, admin, endpoint, action):
        answer = admin.post(page_of(endpoint, action), {"seen": "None"}, follow=True)
        assert "add the key that it was written with" not in said(answer)[-1]
        assert LogEntry.objects.exists()

    def test_leaves_a_history_that_tells_what_became_of_a_deletion(self, admin, endpoint):
        chosen = {"action": "delete_selected", "_selected_action": [str(endpoint.pk)]}
        for address, given in ((page_of(endpoint, "delete"), {}), (LIST, chosen)):
            answer = admin.post(address, {**given, "post": "yes"}, follow=True)
            assert answer.status_code == 200
            assert LogEntry.objects.exists() != WebhookEndpoint.objects.exists()


def request_test_of(endpoint) -> WebhookDelivery:
    """Store one without reading the endpoint's secret."""
    return WebhookDelivery.objects.create(
        tenant_id=endpoint.tenant_id, endpoint_id=endpoint.pk, event_type="a.b", body="{}"
    )

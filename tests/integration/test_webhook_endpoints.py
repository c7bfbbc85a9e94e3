"""Endpoints: what may be stored of them, and what a change leaves as it was."""

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from notifications.errors import (
    DescriptionRefused,
    EndpointDisabled,
    TooManyEndpoints,
    UnknownEndpoint,
    UnknownEventType,
    UrlRefused,
)
from notifications.models import WebhookDelivery, WebhookEndpoint
from notifications.operations import deliveries, endpoints
from notifications.queries import list_endpoints, list_subscribers
from tests.deliveries import at_once
from tests.outgoing import anew, make_delivery, make_endpoint, trust_loopback
from tests.people import make_member, make_tenant

pytestmark = pytest.mark.django_db(transaction=True)

URL = "https://hooks.example.com/in"


@pytest.fixture
def endpoint(acme):
    return make_endpoint(acme, URL, event_types=["export.failed"])


def create(tenant, **changes):
    wanted = {"user_id": None, "url": URL, "event_types": ["*"], **changes}
    return endpoints.create_endpoint(tenant_id=tenant.pk, **wanted)


def change(endpoint, **changes):
    return endpoints.update_endpoint(
        tenant_id=endpoint.tenant_id, endpoint_id=endpoint.pk, **changes
    )


def columns() -> dict[str, object]:
    """Return what is stored of the one endpoint, its secret in plain text."""
    endpoint = WebhookEndpoint.objects.get()
    stored = dict(WebhookEndpoint.objects.values().get())
    return stored | {"secret": endpoint.secret.get_secret_value()}


class TestCreate:
    def test_stores_the_url_in_its_normal_spelling(self, acme):
        endpoint, _ = create(acme, url="HTTPS://Hooks.Example.COM:443")
        assert endpoint.url == "https://hooks.example.com/"

    def test_gives_each_a_secret_of_its_own(self, acme):
        secrets = {create(acme)[1] for _ in range(3)}
        assert len(secrets) == 3
        assert {one.secret.get_secret_value() for one in list_endpoints(acme.pk)} == secrets

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"url": "http://hooks.example.com/"}, UrlRefused),
            ({"url": "https://10.0.0.1/"}, UrlRefused),
            ({"event_types": ["Lamp"]}, UnknownEventType),
            ({"description": "Acme \u202ebuh"}, DescriptionRefused),
        ],
    )
    def test_refuses_what_can_not_be(self, acme, changes, error):
        with pytest.raises(error):
            create(acme, **changes)
        assert not WebhookEndpoint.objects.exists()

    def test_takes_a_private_address_that_is_trusted(self, acme, settings):
        trust_loopback(settings)
        assert create(acme, url="http://127.0.0.1:8080/in")[0].url == "http://127.0.0.1:8080/in"

    def test_counts_each_tenants_own(self, acme, settings):
        settings.NOTIFICATIONS_ENDPOINTS_MAX = 1
        create(acme)
        create(make_tenant("other"))
        with pytest.raises(TooManyEndpoints, match="at most 1"):
            create(acme)

    def test_by_many_at_once_makes_no_more_than_may_be(self, acme, settings):
        settings.NOTIFICATIONS_ENDPOINTS_MAX = 3
        results = at_once(*[lambda: create(acme)] * 12)
        assert len([each for each in results if isinstance(each, TooManyEndpoints)]) == 9
        assert WebhookEndpoint.objects.count() == 3

    def test_remembers_who_asked_until_they_are_gone(self, acme):
        ann = make_member(acme)
        endpoint, _ = create(acme, user_id=ann.pk)
        assert endpoint.created_by_id == ann.pk
        ann.delete()
        assert anew(endpoint).created_by_id is None


class TestUpdate:
    def test_changes_what_is_named_and_nothing_else(self, endpoint):
        before = columns()
        change(endpoint, description="Our hub")
        assert columns() == before | {"description": "Our hub"}

    def test_of_nothing_changes_nothing(self, endpoint):
        before = columns()
        change(endpoint)
        assert columns() == before

    @pytest.mark.parametrize("changes", [{"url": "https://[::1]/"}, {"event_types": ["a b"]}])
    def test_refuses_what_can_not_be_and_changes_nothing(self, endpoint, changes):
        before = columns()
        with pytest.raises((UrlRefused, UnknownEventType)):
            change(endpoint, description="New", enabled=False, **changes)
        assert columns() == before

    def test_disables_and_enables(self, endpoint):
        off = change(endpoint, enabled=False)
        assert (off.enabled, off.disabled_reason) == (False, "by hand")
        on = change(endpoint, enabled=True)
        assert (on.enabled, on.disabled_reason) == (True, "")

    def test_keeps_the_first_reason_of_one_that_is_disabled(self, endpoint):
        endpoints.disable_endpoint(endpoint.pk, "the receiver answered 410 Gone")
        endpoints.disable_endpoint(endpoint.pk, "by hand")
        assert change(endpoint, enabled=False).disabled_reason == "the receiver answered 410 Gone"

    def test_of_another_tenants_is_refused_as_of_none(self, endpoint):
        other = make_tenant("other")
        for endpoint_id in (endpoint.pk, uuid.uuid4()):
            for act in (
                endpoints.update_endpoint,
                endpoints.delete_endpoint,
                endpoints.rotate_secret,
            ):
                with pytest.raises(UnknownEndpoint):
                    act(tenant_id=other.pk, endpoint_id=endpoint_id)
        assert anew(endpoint).enabled


class TestRotate:
    def test_keeps_the_old_secret_for_as_long_as_it_is_set(self, endpoint, settings):
        settings.NOTIFICATIONS_SECRET_OVERLAP_HOURS = 2
        old = endpoint.secret.get_secret_value()
        now, new = endpoints.rotate_secret(tenant_id=None, endpoint_id=endpoint.pk)
        assert now.secret.get_secret_value() == new != old
        assert now.previous_secret.get_secret_value() == old
        assert now.previous_secret_until
        left = now.previous_secret_until - timezone.now()
        assert timedelta(hours=1, minutes=59) < left < timedelta(hours=2, minutes=1)

    def test_forgets_the_secret_before_the_last(self, endpoint):
        old = endpoint.secret.get_secret_value()
        for _ in range(2):
            now, _ = endpoints.rotate_secret(tenant_id=None, endpoint_id=endpoint.pk)
        shown = {now.secret.get_secret_value(), now.previous_secret.get_secret_value()}
        assert old not in shown


class TestDelete:
    def test_leaves_other_endpoints_and_what_is_delivered_to_them(self, acme, endpoint):
        other = make_endpoint(acme, URL)
        kept = make_delivery(other)
        make_delivery(endpoint)
        endpoints.delete_endpoint(tenant_id=acme.pk, endpoint_id=endpoint.pk)
        assert [one.pk for one in list_endpoints(acme.pk)] == [other.pk]
        assert WebhookDelivery.objects.get() == kept

    def test_by_two_at_once_is_done_once(self, acme, endpoint):
        make_delivery(endpoint)

        def delete():
            endpoints.delete_endpoint(tenant_id=acme.pk, endpoint_id=endpoint.pk)

        results = at_once(delete, delete)
        assert {type(each) for each in results} <= {type(None), UnknownEndpoint}
        assert not WebhookEndpoint.objects.exists()


class TestSubscribers:
    def test_are_those_of_the_type_or_of_all(self, acme, endpoint):
        every = make_endpoint(acme, URL)
        make_endpoint(acme, URL, event_types=["export.completed"])
        make_endpoint(acme, URL, enabled=False)
        make_endpoint(make_tenant("other"), URL)
        assert list_subscribers(acme.pk, "export.failed") == [endpoint, every]


class TestATest:
    def test_is_a_delivery_like_any_other(self, endpoint):
        delivery = deliveries.request_test(tenant_id=None, user_id=None, endpoint_id=endpoint.pk)
        assert (delivery.event_type, anew(delivery).status) == ("endpoint.tested", "queued")
        assert str(endpoint.pk) in delivery.body

    def test_of_a_disabled_one_is_refused(self, endpoint):
        endpoints.disable_endpoint(endpoint.pk, "by hand")
        with pytest.raises(EndpointDisabled):
            deliveries.request_test(tenant_id=None, user_id=None, endpoint_id=endpoint.pk)

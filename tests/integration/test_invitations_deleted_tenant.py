"""A tenant that is deleted in the admin, with invitations and all else that is its own."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client
from django.urls import reverse

from exports.models import Export
from exports.operations import request_export
from notifications.models import Notification, WebhookDelivery, WebhookEndpoint
from notifications.operations.deliveries import request_delivery
from notifications.operations.endpoints import create_endpoint
from project.accounts.models import ApiToken, Invitation, Membership, Tenant, User
from project.accounts.scopes import Role
from tests.invitations import invite
from tests.people import make_member, make_tenant, make_token, make_user

pytestmark = pytest.mark.django_db

MODELS = (
    ApiToken, Export, Invitation, Membership, Notification, WebhookDelivery, WebhookEndpoint
)  # fmt: skip


@pytest.fixture
def acme():
    """A tenant with a row of each of MODELS."""
    acme = make_tenant("acme")
    ann = make_member(acme, "ann@acme.example", Role.OWNER)
    make_token(acme, ann)
    own: dict[str, Any] = {"tenant_id": acme.pk, "user_id": ann.pk}
    request_export(**own, dataset="items", format="csv")
    endpoint, _ = create_endpoint(**own, url="https://hooks.example/x", event_types=["*"])
    request_delivery(**own, endpoint_id=endpoint.pk, event_type="invoice.paid", data={"id": 7})
    invite(acme, ann)  # With it comes a mail.
    assert all(model.objects.count() == 1 for model in MODELS)
    return acme


def delete_page(tenant):
    return reverse("admin:accounts_tenant_delete", args=[tenant.pk])


class TestDeletingATenant:
    def test_takes_all_that_is_its_own(self, admin, acme):
        question = admin.get(delete_page(acme))
        assert not question.context["perms_lacking"]
        assert not question.context["protected"]

        answer = admin.post(delete_page(acme), {"post": "yes"})

        assert answer.status_code == 302
        assert not Tenant.objects.exists()
        assert not any(model.objects.exists() for model in MODELS)
        assert User.objects.filter(email="ann@acme.example").exists()

    def test_by_the_list_does_so_too(self, admin, acme):
        form = {"action": "delete_selected", "_selected_action": [acme.pk], "post": "yes"}
        admin.post(reverse("admin:accounts_tenant_changelist"), form)
        assert not Tenant.objects.exists()

    def test_is_refused_to_staff_who_may_not_delete_what_it_has(self, acme):
        staff = make_user("staff@offload.example", is_staff=True)
        staff.user_permissions.add(*Permission.objects.filter(codename__endswith="_tenant"))
        browser = Client()
        browser.force_login(staff)
        assert browser.get(delete_page(acme)).context["perms_lacking"]
        assert browser.post(delete_page(acme), {"post": "yes"}).status_code == 403
        assert Tenant.objects.exists()

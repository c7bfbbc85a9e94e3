"""People, tenants and tokens in the admin."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from project.accounts.authentication import actor_of_token
from project.accounts.models import ApiToken, Membership, Tenant, User
from tests.people import PASSWORD, make_member, make_tenant, make_token, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def root(client):
    user = make_user("root@acme.example", is_staff=True, is_superuser=True)
    client.force_login(user)
    return user


@pytest.fixture
def staff(client):
    """Sign in a member of staff and return what gives them permissions by name."""
    user = make_user("staff@acme.example", is_staff=True)
    client.force_login(user)
    return lambda *names: user.user_permissions.set(Permission.objects.filter(codename__in=names))


def token_form(tenant, user, **changes):
    expires_at = timezone.now() + timedelta(days=1)
    return {
        "tenant": tenant.pk,
        "user": user.pk,
        "name": "Nightly script",
        "scopes": ["exports:read"],
        "expires_at_0": f"{expires_at:%Y-%m-%d}",
        "expires_at_1": f"{expires_at:%H:%M:%S}",
        **changes,
    }


class TestPages:
    @pytest.mark.parametrize("name", ["user", "tenant", "membership", "apitoken"])
    def test_open(self, client, root, name):
        tenant = make_tenant()
        make_token(tenant, make_member(tenant))
        assert client.get(f"/admin/accounts/{name}/").status_code == 200
        assert client.get(f"/admin/accounts/{name}/?q=acme").status_code == 200
        assert client.get(f"/admin/accounts/{name}/add/").status_code == 200

    @pytest.mark.parametrize("model", [User, Tenant, Membership, ApiToken])
    def test_show_a_row(self, client, root, model):
        tenant = make_tenant()
        make_token(tenant, make_member(tenant))
        row = model.objects.order_by("pk").last()
        assert (
            client.get(f"/admin/accounts/{model._meta.model_name}/{row.pk}/change/").status_code
            == 200
        )

    def test_open_for_the_workspace(self, client, root):
        for name in ("project", "item"):
            assert client.get(f"/admin/workspace/{name}/").status_code == 200
            assert client.get(f"/admin/workspace/{name}/add/").status_code == 200


class TestUsers:
    def test_are_added_with_a_password_that_signs_in(self, client, root):
        form = {
            "email": "New@Acme.Example",
            "name": "New",
            "usable_password": "true",
            "password1": PASSWORD,
            "password2": PASSWORD,
        }
        assert client.post("/admin/accounts/user/add/", form).status_code == 302
        client.logout()
        assert client.login(username="new@acme.example", password=PASSWORD)

    def test_are_not_added_twice_in_another_case(self, client, root):
        form = {"email": "ROOT@acme.example", "usable_password": "false"}
        assert client.post("/admin/accounts/user/add/", form).status_code == 200
        assert User.objects.count() == 1

    def test_get_a_new_password(self, client, root):
        ann = make_user()
        form = {"password1": "another long phrase", "password2": "another long phrase"}
        path = f"/admin/accounts/user/{ann.pk}/password/"
        assert client.post(path, {**form, "usable_password": "true"}).status_code == 302
        ann.refresh_from_db()
        assert ann.check_password("another long phrase")

    def test_who_are_superusers_are_out_of_reach_for_staff(self, client, staff):
        boss = make_user("boss@acme.example", is_superuser=True, is_staff=True)
        staff("view_user", "change_user")
        assert client.get(f"/admin/accounts/user/{boss.pk}/password/").status_code == 403
        client.post(f"/admin/accounts/user/{boss.pk}/change/", {"email": "mine@acme.example"})
        boss.refresh_from_db()
        assert boss.email == "boss@acme.example"

    def test_can_not_be_made_superusers_by_staff(self, client, staff):
        ann = make_user()
        staff("view_user", "change_user")
        form = {
            "email": ann.email,
            "name": "Changed",
            "is_active": "on",
            "is_superuser": "on",
            "is_staff": "on",
            "memberships-TOTAL_FORMS": 0,
            "memberships-INITIAL_FORMS": 0,
        }
        assert client.post(f"/admin/accounts/user/{ann.pk}/change/", form).status_code == 302
        ann.refresh_from_db()
        assert (ann.name, ann.is_superuser, ann.is_staff) == ("Changed", False, False)


class TestTokens:
    def test_are_shown_exactly_once(self, client, root):
        tenant = make_tenant()
        ann = make_member(tenant)

        page = client.post(
            "/admin/accounts/apitoken/add/", token_form(tenant, ann), follow=True
        ).text
        [text] = set(re.findall(r"off_\w{12}_[\w-]{43}", page))

        assert actor_of_token(text, now=timezone.now()).user == ann
        token = ApiToken.objects.get()
        again = client.get("/admin/accounts/apitoken/").text
        again += client.get(f"/admin/accounts/apitoken/{token.pk}/change/").text
        assert token.prefix in again
        assert text.split("_", 2)[2] not in again
        assert token.secret_sha256 not in again

    @pytest.mark.parametrize("lookup", ["secret_sha256", "secret_sha256__startswith"])
    def test_are_not_found_by_a_hash_that_is_not_shown(self, client, root, lookup):
        assert client.get("/admin/accounts/apitoken/", {lookup: "a"}).status_code == 400

    @pytest.mark.parametrize(
        ("changes", "complaint"),
        [
            ({"scopes": ["root:all"]}, "not one of the available choices"),
            ({"scopes": []}, "required"),
            ({"expires_at_0": "2020-01-01"}, "in the future"),
        ],
    )
    def test_are_refused_with_a_reason(self, client, root, changes, complaint):
        tenant = make_tenant()
        form = token_form(tenant, make_member(tenant), **changes)
        assert complaint in client.post("/admin/accounts/apitoken/add/", form).text
        assert not ApiToken.objects.exists()

    def test_are_refused_for_somebody_outside_the_tenant(self, client, root):
        form = token_form(make_tenant(), root)
        assert "is no member of" in client.post("/admin/accounts/apitoken/add/", form).text

    def test_can_not_be_edited(self, client, root):
        tenant = make_tenant()
        token, _ = make_token(tenant, make_member(tenant))
        path = f"/admin/accounts/apitoken/{token.pk}/change/"
        assert client.post(path, {"name": "Other"}).status_code == 403

    def test_are_revoked_by_those_who_may(self, client, staff):
        tenant = make_tenant()
        token, _ = make_token(tenant, make_member(tenant))
        form = {"action": "revoke_tokens", "_selected_action": [token.pk]}

        staff("view_apitoken")
        client.post("/admin/accounts/apitoken/", form)
        token.refresh_from_db()
        assert token.revoked_at is None

        staff("view_apitoken", "revoke_apitoken")
        page = client.post("/admin/accounts/apitoken/", form, follow=True).text
        token.refresh_from_db()
        assert token.revoked_at is not None
        assert "Revoked 1 of 1 tokens." in page

"""The pages for people: sign in, choose a tenant, sign out."""

import re

import pytest
from django.db import IntegrityError, transaction
from django.test import Client

from project.accounts import operations
from project.accounts.models import Session, User
from project.accounts.scopes import Role
from tests.people import PASSWORD, make_member, make_tenant, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann(acme):
    return make_member(acme, "ann@acme.example", Role.OWNER, name="Ann Smith")


def sign_in(client, email="ann@acme.example", password=PASSWORD, **more):
    return client.post("/sign-in", {"username": email, "password": password, **more})


class TestSignIn:
    def test_cycles_the_session_key(self, client, ann):
        # Given a session key that an attacker may have planted in the victim's browser
        session = client.session
        session["planted"] = True
        session.save()
        planted = session.session_key
        client.cookies["sessionid"] = planted

        # When the victim signs in, then that key is worth nothing
        assert sign_in(client).status_code == 302
        assert client.session.session_key != planted
        assert not Session.objects.filter(pk=planted).exists()

    def test_stores_the_person_and_the_tenant_with_the_session(self, client, acme, ann):
        sign_in(client)
        session = Session.objects.get(pk=client.session.session_key)
        assert (session.user, session.active_tenant) == (ann, acme)

    @pytest.mark.parametrize("email", ["ANN@ACME.EXAMPLE", " Ann@acme.Example "])
    def test_takes_the_address_in_any_case(self, client, ann, email):
        assert sign_in(client, email).url == "/"

    @pytest.mark.parametrize(
        ("email", "password"),
        [
            ("ann@acme.example", "wrong"),
            ("nobody@acme.example", PASSWORD),
            ("", ""),
            ("ann\x00@acme.example", PASSWORD),
        ],
    )
    def test_refuses_anything_else_on_the_same_page(self, client, ann, email, password):
        response = sign_in(client, email, password)
        assert response.status_code == 200
        assert "sessionid" not in client.cookies
        assert "message error" in response.text

    def test_refuses_an_account_that_is_switched_off(self, client, acme):
        make_member(acme, is_active=False)
        assert sign_in(client).status_code == 200

    def test_goes_on_to_where_the_person_wanted_to_be(self, client, ann):
        assert sign_in(client, next="/admin/").url == "/admin/"

    def test_does_not_go_on_to_another_site(self, client, ann):
        assert sign_in(client, next="https://evil.example/").url == "/"

    def test_refuses_a_form_from_another_site(self, ann):
        assert sign_in(Client(enforce_csrf_checks=True)).status_code == 403

    def test_loads_nothing_from_elsewhere(self, client):
        page = client.get("/sign-in").text
        assert not re.findall(r'(?:src|href)="(?!data:,)[^"]*"|url\(|@import', page)

    def test_works_for_the_admin_too(self, client):
        make_user("root@acme.example", is_staff=True, is_superuser=True)
        form = {"username": "ROOT@acme.example", "password": PASSWORD, "next": "/admin/"}
        assert client.post("/admin/login/", form).url == "/admin/"


class TestHome:
    def test_sends_a_stranger_to_sign_in(self, client):
        assert client.get("/").url == "/sign-in?next=/"

    def test_shows_the_person_their_tenants_and_the_way_on(self, client, ann):
        client.force_login(ann)
        page = client.get("/").text
        assert all(text in page for text in ("Ann Smith", "Acme", "Owner", "/api/v1/docs"))
        assert "/admin/" not in page

    def test_shows_staff_the_way_to_the_admin(self, client):
        client.force_login(make_user(is_staff=True))
        assert 'href="/admin/"' in client.get("/").text


class TestSwitchTenant:
    def test_makes_another_of_ones_tenants_the_active_one(self, client, ann):
        other = make_tenant("other")
        operations.add_member(tenant=other, user=ann)
        sign_in(client)

        response = client.post("/switch-tenant", {"tenant_id": other.pk}, follow=True)

        assert "You now work for Other." in response.text
        assert response.wsgi_request.actor.tenant == other
        assert Session.objects.get().active_tenant == other

    def test_finds_neither_foreign_nor_unknown_nor_malformed_tenants(self, client, acme, ann):
        foreign = make_tenant("foreign")
        client.force_login(ann)
        for tenant_id in (foreign.pk, "019b8d2b-8c00-7000-8000-000000000000", "1", "\x00", ""):
            response = client.post("/switch-tenant", {"tenant_id": tenant_id})
            assert response.status_code == 404
        assert client.get("/").wsgi_request.actor.tenant == acme

    def test_takes_only_posts_of_people_who_are_signed_in(self, client, acme):
        assert client.get("/switch-tenant").status_code == 405
        assert client.post("/switch-tenant", {"tenant_id": acme.pk}).url.startswith("/sign-in")


class TestSignOut:
    def test_ends_the_session_by_post_only(self, client, ann):
        sign_in(client)
        assert client.get("/sign-out").status_code == 405
        assert client.post("/sign-out").url == "/sign-in"
        assert not Session.objects.exists()


class TestSessions:
    def test_forget_a_deleted_tenant_and_can_still_be_saved(self, client, acme, ann):
        sign_in(client)
        acme.delete()
        session = client.session
        session["anything"] = 1
        session.save()
        assert Session.objects.get().active_tenant is None

    def test_end_with_their_person(self, client, ann):
        sign_in(client)
        ann.delete()
        assert not Session.objects.exists()


class TestUser:
    def test_is_unique_by_address_in_any_case(self, ann):
        with pytest.raises(IntegrityError), transaction.atomic():
            make_user("ANN@Acme.Example")

    def test_keeps_the_address_in_lower_case(self):
        user = make_user("MiXed@Acme.Example")
        assert user.email == "mixed@acme.example"
        assert User.objects.get(email="MIXED@acme.example") == user

    def test_needs_an_address(self):
        with pytest.raises(ValueError, match="e-mail"):
            make_user("")

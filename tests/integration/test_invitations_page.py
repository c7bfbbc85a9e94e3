"""The page behind the link of an invitation: for people with an account, without, and others."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from jobs.models import Event
from project.accounts import operations
from project.accounts.models import Invitation, Membership, Session, User
from project.accounts.scopes import Role
from tests.invitations import PAGE, invite_and_read
from tests.people import PASSWORD, make_member, make_user

pytestmark = pytest.mark.django_db

BOB = "bob@acme.example"


@pytest.fixture
def ann(acme):
    return make_member(acme, "ann@acme.example", Role.OWNER)


@pytest.fixture
def token(acme, ann):
    """The link's token of Bob's invitation."""
    return invite_and_read(acme, ann, role=Role.ADMIN)[1]


def show(client, token):
    return client.get(PAGE, {"token": token})


def join(client, token, password=PASSWORD, name="Bob Jones"):
    return client.post(PAGE, {"token": token, "name": name, "password": password})


def without_csrf(page):
    return re.sub(r'name="csrfmiddlewaretoken" value="\w+"', "", page.text)


def is_member(tenant, email=BOB):
    return Membership.objects.filter(tenant=tenant, user__email=email).exists()


class TestShow:
    def test_tells_the_tenant_and_the_role(self, client, token):
        page = show(client, token)
        assert page.status_code == 200
        assert "Join Acme" in page.text
        assert "as admin" in page.text

    def test_does_nothing(self, client, acme, token):
        """Mail programs and scanners open links."""
        client.force_login(make_user(BOB))
        for _ in range(3):
            assert show(client, token).status_code == 200
        assert client.head(PAGE, {"token": token}).status_code == 200
        assert not is_member(acme)
        assert Invitation.objects.open().count() == 1

    def test_tells_of_no_account_before_a_valid_token_and_a_posted_form(self, client, token):
        def tell():
            dead = join(client, "inv_" + "A" * 43, "short")
            return without_csrf(show(client, token)), without_csrf(dead)

        before = tell()
        make_user(BOB)
        assert tell() == before

    def test_is_kept_by_nobody_and_tells_its_address_to_nobody(self, client, token):
        for page in (show(client, token), show(client, "inv_x"), join(client, token, "short")):
            assert "no-store" in page.headers["Cache-Control"]
            assert page.headers["Referrer-Policy"] == "strict-origin"

    def test_loads_nothing_and_sends_its_form_to_an_address_without_the_token(self, client, token):
        page = show(client, token).text
        assert not re.findall(r'(?:src|href)="(?!data:,)[^"]*"|url\(|@import', page)
        assert re.findall(r'action="([^"]*)"', page) == [PAGE]

    @pytest.mark.parametrize("signed_in", [False, True])
    def test_says_one_thing_of_all_that_can_not_be_accepted(self, client, acme, ann, signed_in):
        if signed_in:
            client.force_login(make_user(BOB))
        now = timezone.now()
        tokens = ["", "nonsense", "inv_" + "A" * 43, "inv_\0", "x" * 9000]
        for changes in ({"revoked_at": now}, {"accepted_at": now}, {"expires_at": now}):
            invitation, token = invite_and_read(acme, ann)
            Invitation.objects.filter(pk=invitation.pk).update(**changes)
            tokens.append(token)

        pages = [show(client, token) for token in tokens] + [client.get(PAGE)]

        assert {page.status_code for page in pages} == {404}
        assert len({page.text for page in pages}) == 1
        assert "Acme" not in pages[0].text
        assert "expired" in pages[0].text


class TestOfAnInviterWhoIsGone:
    @pytest.mark.parametrize("known", [True, False])
    def test_says_what_every_dead_link_says(self, client, acme, ann, token, known):
        if known:
            make_user(BOB)
        operations.remove_member(tenant=acme, user=ann)
        passwords = ("short", PASSWORD, "another long phrase")
        pages = [show(client, token), *(join(client, token, each) for each in passwords)]
        pages.append(show(client, "nonsense"))
        assert {page.status_code for page in pages} == {404}
        assert len({page.text for page in pages}) == 1
        assert User.objects.filter(email=BOB).exists() == known


class TestWithoutAnAccount:
    def test_makes_one_signs_in_and_joins(self, client, acme, token):
        answer = join(client, token)

        assert (answer.status_code, answer.url) == (302, "/")
        bob = User.objects.get(email=BOB)
        assert (bob.name, bob.is_staff, bob.is_superuser) == ("Bob Jones", False, False)
        assert bob.check_password(PASSWORD)
        assert Membership.objects.get(user=bob).role == Role.ADMIN
        session = Session.objects.get(pk=client.session.session_key)
        assert (session.user, session.active_tenant) == (bob, acme)
        home = client.get("/").text
        assert "You are a member of Acme now." in home
        assert Event.objects.filter(name="user.signed_in").count() == 1

    @pytest.mark.parametrize(
        ("password", "complaint"),
        [
            ("short", "too short"),
            ("password1234", "too common"),
            ("90817263544", "entirely numeric"),
            ("bob@acme.example", "too similar"),
            ("", "required"),
            ("nul\0characters are not text", "Null characters"),
        ],
    )
    def test_refuses_a_weak_password(self, client, acme, token, password, complaint):
        page = join(client, token, password)
        assert page.status_code == 200
        assert complaint in page.text
        assert "value" not in re.findall(r'<input type="password"[^>]*>', page.text)[0]
        assert not User.objects.filter(email=BOB).exists()
        assert join(client, token).status_code == 302

    def test_makes_none_for_a_link_that_is_dead(self, client, acme, token):
        Invitation.objects.update(revoked_at=timezone.now())
        assert join(client, token).status_code == 404
        assert not User.objects.filter(email=BOB).exists()
        assert "sessionid" not in client.cookies

    def test_makes_none_for_a_link_that_somebody_has_used(self, client, acme, ann, token):
        Invitation.objects.update(accepted_at=timezone.now(), accepted_by=ann)
        assert join(client, token).status_code == 404
        assert not User.objects.filter(email=BOB).exists()

    def test_can_be_done_twice(self, acme, token):
        assert [join(Client(), token).status_code for _ in range(2)] == [302, 302]
        assert Membership.objects.filter(user__email=BOB).count() == 1


class TestWithAnAccount:
    @pytest.fixture(autouse=True)
    def bob(self):
        bob = make_user(BOB, name="Robert")
        operations.create_tenant(name="Globex", slug="globex", owner=bob)
        return bob

    def test_signs_in_by_its_own_password_and_joins(self, client, acme, bob, token):
        assert join(client, token).url == "/"
        bob.refresh_from_db()
        assert bob.name == "Robert"
        assert is_member(acme)
        session = Session.objects.get(pk=client.session.session_key)
        assert (session.user, session.active_tenant) == (bob, acme)

    def test_refuses_another_password(self, client, acme, bob, token):
        page = join(client, token, "another long phrase")
        assert page.status_code == 200
        assert "this is not its password" in page.text
        assert not is_member(acme)
        assert "sessionid" not in client.cookies
        bob.refresh_from_db()
        assert bob.check_password(PASSWORD)

    def test_refuses_one_that_is_switched_off(self, client, acme, bob, token):
        User.objects.filter(pk=bob.pk).update(is_active=False)
        assert join(client, token).status_code == 200
        assert not is_member(acme)
        assert "sessionid" not in client.cookies

    def test_tries_no_password_by_a_link_that_is_dead(self, client, token):
        later = timezone.now() - timedelta(seconds=1)
        Invitation.objects.update(expires_at=later)
        pages = [join(client, token, password) for password in (PASSWORD, "another long phrase")]
        assert {page.status_code for page in pages} == {404}
        assert len({page.text for page in pages}) == 1

    def test_cycles_the_session_key(self, client, token):
        session = client.session
        session["planted"] = True
        session.save()
        planted = session.session_key
        client.cookies["sessionid"] = planted
        join(client, token)
        assert not Session.objects.filter(pk=planted).exists()


class TestSignedIn:
    def test_joins_by_one_button(self, client, acme, token):
        client.force_login(make_user(BOB))
        page = show(client, token).text
        assert page.count("<button") == 1
        assert "password" not in page.lower()

        answer = client.post(PAGE, {"token": token}, follow=True)

        assert "You are a member of Acme now." in answer.text
        assert answer.wsgi_request.actor.tenant == acme

    def test_goes_on_working_for_the_tenant_just_joined(self, client, acme, token):
        bob = make_user(BOB)
        operations.create_tenant(name="Globex", slug="globex", owner=bob)
        client.force_login(bob)
        client.post(PAGE, {"token": token})
        assert Session.objects.get(pk=client.session.session_key).active_tenant == acme

    def test_can_be_done_twice(self, client, acme, token):
        client.force_login(make_user(BOB))
        assert [client.post(PAGE, {"token": token}).status_code for _ in range(2)] == [302, 302]


class TestSignedInAsAnother:
    @pytest.fixture(autouse=True)
    def eve(self, client):
        eve = make_user("eve@acme.example")
        client.force_login(eve)
        return eve

    def test_is_told_so_without_the_address(self, client, token):
        page = show(client, token).text
        assert "You are signed in as eve@acme.example" in page
        assert BOB not in page
        assert ">Join</button>" not in page

    def test_can_not_join_all_the_same(self, client, acme, token):
        assert client.post(PAGE, {"token": token}).status_code == 404
        assert join(client, token).status_code == 404
        assert not Membership.objects.filter(tenant=acme, user__email="eve@acme.example").exists()
        assert Invitation.objects.open().exists()

    def test_signs_out_and_stays_on_the_page(self, client, acme, token):
        page = client.post(PAGE, {"token": token, "sign-out": "yes"})
        assert page.status_code == 200
        assert 'type="password"' in page.text
        assert not Session.objects.exists()
        assert join(client, token).status_code == 302
        assert is_member(acme)


class TestForms:
    @pytest.mark.parametrize("who", ["nobody", "bob", "eve"])
    def test_from_another_site_are_refused(self, acme, token, who):
        browser = Client(enforce_csrf_checks=True)
        if who != "nobody":
            browser.force_login(make_user(f"{who}@acme.example"))
        assert join(browser, token).status_code == 403
        assert browser.post(PAGE, {"token": token, "sign-out": "yes"}).status_code == 403
        assert not is_member(acme)

    def test_from_this_page_are_taken(self, acme, token):
        browser = Client(enforce_csrf_checks=True)
        page = show(browser, token).text
        [value] = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        form = {"token": token, "password": PASSWORD, "csrfmiddlewaretoken": value}
        # By TLS, Django wants a Referer too: by the page's policy it is the bare origin.
        answer = browser.post(PAGE, form, secure=True, headers={"referer": "https://testserver/"})
        assert answer.status_code == 302
        assert is_member(acme)

"""The link of an invitation, opened again after somebody has joined by it."""

import pytest
from django.test import Client
from django.utils import timezone

from jobs.models import Event
from jobs.testing import run_enqueued_jobs
from project.accounts import invitations, operations
from project.accounts.scopes import Role
from tests.invitations import PAGE, invite_and_read
from tests.people import make_member, make_user

pytestmark = pytest.mark.django_db

BOB = "bob@acme.example"


@pytest.fixture
def ann(acme):
    return make_member(acme, "ann@acme.example", Role.OWNER)


@pytest.fixture
def bob():
    return make_user(BOB)


@pytest.fixture
def token(acme, ann, bob):
    """The token of the link by which Bob has joined acme."""
    _, token = invite_and_read(acme, ann)
    invitations.accept(token=token, user=bob, now=timezone.now())
    run_enqueued_jobs()  # So that the newest mail is the next invitation.
    return token


def show(token, user=None):
    browser = Client()
    if user:
        browser.force_login(user)
    return browser.get(PAGE, {"token": token})


def test_leads_home_to_the_tenant_that_was_joined(client, acme, bob, token):
    # Given Bob, who works for another tenant at the moment
    globex = operations.create_tenant(name="Globex", slug="globex", owner=bob)
    client.force_login(bob)
    client.post("/switch-tenant", {"tenant_id": globex.pk})

    # When he opens the old mail again
    answer = client.get(PAGE, {"token": token}, follow=True)

    # Then he is where it has led him once, and nothing has happened twice
    assert answer.redirect_chain == [("/", 302)]
    assert "You are a member of Acme now." in answer.text
    assert answer.wsgi_request.actor.tenant == acme
    assert Event.objects.filter(name="invitation.accepted").count() == 1


def test_says_to_everybody_else_what_an_unknown_one_says(acme, ann, token):
    unknown = show("inv_" + "A" * 43)
    for person in (None, ann, make_user("eve@acme.example")):
        page = show(token, person)
        assert (page.status_code, page.text) == (404, unknown.text)


def test_lets_nobody_back_in_who_was_removed(acme, bob, token):
    operations.remove_member(tenant=acme, user=bob)
    assert show(token, bob).status_code == 404
    assert not acme.memberships.filter(user=bob).exists()


def test_shows_a_member_the_one_that_they_have_not_accepted(acme, ann, bob, token):
    _, newer = invite_and_read(acme, ann)
    assert show(newer, bob).status_code == 200

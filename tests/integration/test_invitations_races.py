"""Invitations that are made, accepted, renewed and revoked at once, on connections of their own."""

import threading
from functools import partial

import pytest
from django.test import Client
from django.utils import timezone

from jobs.models import Event, Job
from notifications.models import Notification
from project.accounts import invitation_limits, invitations, operations
from project.accounts.errors import (
    InvitationOver,
    InvitationRefused,
    SentTooSoon,
    TooManyInvitations,
)
from project.accounts.models import Invitation, Membership, User
from project.accounts.scopes import Role
from project.accounts.states import InvitationStatus
from tests.cleaning import meanwhile
from tests.deliveries import at_once
from tests.invitations import (
    PAGE,
    invite,
    invite_and_read,
    let_a_minute_pass,
    person,
    read_token,
)
from tests.people import PASSWORD, bearer, make_member, make_tenant, make_token, make_user

pytestmark = pytest.mark.django_db(transaction=True)

BOB = "bob@acme.example"
TIMES = 8


@pytest.fixture
def ann(acme):
    return make_member(acme, "ann@acme.example", Role.OWNER)


def accept_by_api(token, text):
    answer = Client().post(
        "/api/v1/invitations/accept",
        {"token": token},
        content_type="application/json",
        headers=bearer(text),
    )
    return answer.status_code, answer.content


def join_by_page(token):
    return Client().post(PAGE, {"token": token, "name": "Bob", "password": PASSWORD}).status_code


def resend(tenant, user, invitation):
    return invitations.resend(
        tenant=tenant, invitation_id=invitation.pk, by=person(user), now=timezone.now()
    )


def revoke(tenant, user, invitation):
    return invitations.revoke(
        tenant=tenant, invitation_id=invitation.pk, by=person(user), now=timezone.now()
    )


def accepted_events():
    return Event.objects.filter(name="invitation.accepted").count()


def announcements():
    return Job.objects.filter(type="notifications.announce_event").count()


class TestAcceptsAtOnce:
    def test_make_one_membership_and_all_get_the_same_answer(self, acme, ann):
        # Given Bob, whose programs act for him in another tenant
        bob = make_member(make_tenant("globex"), BOB)
        _, text = make_token(bob.tenants.get(), bob)
        _, token = invite_and_read(acme, ann)

        answers = at_once(*[partial(accept_by_api, token, text)] * TIMES)

        assert len(set(answers)) == 1, answers
        assert answers[0][0] == 200
        assert Membership.objects.filter(tenant=acme, user=bob).count() == 1
        assert (accepted_events(), announcements()) == (1, 1)

    def test_make_one_account_too(self, acme, ann):
        _, token = invite_and_read(acme, ann)

        answers = at_once(*[partial(join_by_page, token)] * TIMES)

        assert answers == [302] * TIMES
        bob = User.objects.get(email=BOB)
        assert Membership.objects.filter(tenant=acme, user=bob).count() == 1
        assert (accepted_events(), announcements()) == (1, 1)

    def test_wait_for_one_that_has_not_committed(self, acme, ann):
        bob = make_user(BOB)
        _, token = invite_and_read(acme, ann)
        accept = partial(invitations.accept, token=token, user=bob, now=timezone.now())
        results = []

        with meanwhile(accept):
            second = threading.Thread(target=lambda: results.extend(at_once(accept)))
            second.start()
        second.join()

        assert results == [Membership.objects.get(user=bob)]
        assert accepted_events() == 1


class TestInvitesAtOnce:
    def test_of_one_address_send_one_mail(self, acme, ann):
        results = at_once(*[partial(invite, acme, ann)] * TIMES)

        assert sorted({type(each) for each in results}, key=str) == [SentTooSoon, Invitation]
        assert Invitation.objects.get() in results
        assert Notification.objects.count() == 1

    def test_replace_an_open_one_once(self, acme, ann):
        invite(acme, ann)
        let_a_minute_pass()
        at_once(*[partial(invite, acme, ann)] * TIMES)
        assert Invitation.objects.open().count() == 1
        assert Invitation.objects.count() == Notification.objects.count() == 2

    def test_wait_for_one_that_is_not_committed_yet(self, acme, ann):
        results = []
        with meanwhile(partial(invite, acme, ann)):
            later = threading.Thread(
                target=lambda: results.extend(at_once(partial(invite, acme, ann)))
            )
            later.start()
        later.join()
        assert isinstance(results[0], SentTooSoon)

    def test_of_many_addresses_pass_the_limit_by_none(self, acme, ann, monkeypatch):
        monkeypatch.setattr(invitation_limits, "OPEN_MAX", 3)
        addresses = [f"p{number}@acme.example" for number in range(TIMES)]
        results = at_once(*[partial(invite, acme, ann, each) for each in addresses])
        assert Invitation.objects.count() == 3
        assert sum(isinstance(each, TooManyInvitations) for each in results) == TIMES - 3


class TestResendsAtOnce:
    def test_send_one_mail(self, acme, ann):
        invitation = invite(acme, ann)
        let_a_minute_pass()
        results = at_once(*[partial(resend, acme, ann, invitation)] * TIMES)
        assert sum(isinstance(each, SentTooSoon) for each in results) == TIMES - 1
        assert Notification.objects.count() == 2


class TestRemovalAndAcceptanceAtOnce:
    @pytest.mark.parametrize("_", range(5))
    def test_leave_nobody_in_who_was_removed(self, acme, ann, _):
        bob = make_member(acme, BOB)
        _, token = invite_and_read(acme, ann)

        at_once(
            partial(operations.remove_member, tenant=acme, user=bob),
            partial(invitations.accept, token=token, user=bob, now=timezone.now()),
        )

        assert not Invitation.objects.open().exists()
        assert not Membership.objects.filter(user=bob).exists()


class TestRevocationAndAcceptanceAtOnce:
    @pytest.mark.parametrize("_", range(5))
    def test_have_one_winner(self, acme, ann, _):
        bob = make_user(BOB)
        invitation, token = invite_and_read(acme, ann)
        now = timezone.now()

        revoked, accepted = at_once(
            partial(revoke, acme, ann, invitation),
            partial(invitations.accept, token=token, user=bob, now=now),
        )

        invitation.refresh_from_db()
        member = Membership.objects.filter(user=bob).exists()
        if invitation.status(now=now) == InvitationStatus.ACCEPTED:
            assert isinstance(revoked, InvitationOver)
            assert member
        else:
            assert isinstance(accepted, InvitationRefused)
            assert not member
        assert (invitation.accepted_at is None) != (invitation.revoked_at is None)


class TestResendAndAcceptanceAtOnce:
    def test_do_not_mail_a_link_for_what_was_accepted(self, acme, ann):
        bob = make_user(BOB)
        invitation, token = invite_and_read(acme, ann)
        let_a_minute_pass()
        now = timezone.now()
        results = []

        again = partial(resend, acme, ann, invitation)
        with meanwhile(partial(invitations.accept, token=token, user=bob, now=now)):
            other = threading.Thread(target=lambda: results.extend(at_once(again)))
            other.start()
        other.join()

        assert isinstance(results[0], InvitationOver)

    def test_let_no_replaced_link_in(self, acme, ann):
        bob = make_user(BOB)
        invitation, token = invite_and_read(acme, ann)
        now = timezone.now()
        accept = partial(invitations.accept, token=token, user=bob, now=now)
        results = []

        let_a_minute_pass()
        with meanwhile(partial(resend, acme, ann, invitation)):
            other = threading.Thread(target=lambda: results.extend(at_once(accept)))
            other.start()
        other.join()

        assert isinstance(results[0], InvitationRefused)
        assert invitations.accept(token=read_token(), user=bob, now=now)

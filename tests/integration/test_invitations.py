"""What becomes of an invitation: sent, sent again, revoked, forgotten."""

import contextlib
import re
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from jobs.models import Event, Job
from jobs.testing import run_enqueued_jobs
from notifications.errors import MailRefused
from notifications.models import Notification
from project.accounts import invitation_limits, invitations, operations
from project.accounts.errors import (
    InvitationOver,
    InvitationRefused,
    RoleRefused,
    SentTooSoon,
    TooManyInvitations,
    UnknownInvitation,
)
from project.accounts.invitation_limits import MAIL_EVERY
from project.accounts.invitation_mails import link_of
from project.accounts.inviters import Inviter
from project.accounts.models import Invitation, Membership
from project.accounts.retention import delete_expired_invitations
from project.accounts.scopes import MEMBER_SCOPES, Role, Scope
from project.accounts.states import InvitationStatus
from tests.invitations import invite, invite_and_read, let_a_minute_pass, person, read_token
from tests.people import make_member, make_tenant, make_user

pytestmark = pytest.mark.django_db

BOB = "bob@acme.example"
INSTANT = timedelta(microseconds=1)


@pytest.fixture
def ann(acme):
    return make_member(acme, "ann@acme.example", Role.OWNER, name="Ann Smith")


@pytest.fixture
def bob():
    return make_user(BOB)


def accept(token, user, *, now=None):
    return invitations.accept(token=token, user=user, now=now or timezone.now())


def events():
    return list(Event.objects.order_by("pk").values_list("name", "tenant_id"))


class TestInvite:
    def test_mails_a_link_to_our_own_address(self, acme, ann, settings):
        settings.PUBLIC_URL = "https://offload.example"
        _, token = invite_and_read(acme, ann)

        [sent] = mail.outbox
        assert (sent.to, sent.subject) == ([BOB], "Join Acme on Offload")
        assert f"https://offload.example/invitations/accept?token={token}" in sent.body
        assert "Ann Smith invites you to join" in sent.body
        assert re.fullmatch(r"inv_[\w-]{43}", token)

    def test_stores_who_invited_whom_and_until_when(self, acme, ann, settings):
        settings.ACCOUNTS_INVITATION_HOURS = 3
        now = timezone.now()

        stored = invitations.invite(
            tenant=acme, by=person(ann), email="Bob@ACME.example", role=Role.ADMIN, now=now
        )

        stored.refresh_from_db()
        assert (stored.email, stored.role, stored.invited_by) == (BOB, Role.ADMIN, ann)
        assert (stored.created_at, stored.expires_at) == (now, now + timedelta(hours=3))
        assert stored.status(now=now) == InvitationStatus.PENDING
        assert events() == [("invitation.sent", acme.pk)]

    def test_revokes_the_open_one_of_the_same_address(self, acme, ann, bob):
        first, old = invite_and_read(acme, ann)
        second, new = invite_and_read(acme, ann, BOB.upper())

        first.refresh_from_db()
        assert first.status(now=timezone.now()) == InvitationStatus.REVOKED
        with pytest.raises(InvitationRefused):
            accept(old, bob)
        assert accept(new, bob).tenant == acme
        assert Invitation.objects.open().count() == 0
        assert second.pk != first.pk

    def test_leaves_those_of_others_alone(self, acme, ann):
        globex = make_tenant("globex")
        gil = make_member(globex, "gil@globex.example", Role.OWNER)
        invite(globex, gil, BOB)
        invite(acme, ann, "cid@acme.example")
        invite(acme, ann, BOB)
        assert Invitation.objects.open().count() == 3

    @pytest.mark.parametrize(
        "email", ["", "bob", "a@b", "bob@acme.example,eve@acme.example", "bob@acme.example\nBcc: x"]
    )
    def test_stores_nothing_for_what_is_no_address(self, acme, ann, email):
        with pytest.raises(MailRefused):
            invite(acme, ann, email)
        assert not Invitation.objects.exists()
        assert not Job.objects.exists()

    def test_keeps_the_open_one_where_the_next_is_refused(self, acme, ann):
        first = invite(acme, ann)
        let_a_minute_pass()
        eve = make_member(acme, "eve@acme.example", Role.ADMIN)
        with pytest.raises(RoleRefused):
            invite(acme, eve, BOB, Role.OWNER)
        assert Invitation.objects.open().get() == first

    def test_lets_each_role_invite_to_its_own_alone(self, acme, ann):
        members = {role: make_member(acme, f"{role}@acme.example", role) for role in Role.values}
        done = set()
        for role, member in members.items():
            for given in Role.values:
                with contextlib.suppress(RoleRefused):
                    invite(acme, member, f"{given}-by-{role}@acme.example", given)
                    done.add((role, given))
        assert done == {
            ("owner", "owner"), ("owner", "admin"), ("owner", "member"),
            ("admin", "admin"), ("admin", "member"),
        }  # fmt: skip

    def test_gives_nothing_that_a_token_has_not(self, acme, ann):
        program = Inviter(user=ann, scopes=MEMBER_SCOPES | {Scope.INVITATIONS_WRITE})
        given: dict[str, Any] = {"tenant": acme, "by": program, "email": BOB, "now": timezone.now()}
        for role in (Role.OWNER, Role.ADMIN):
            with pytest.raises(RoleRefused, match="webhooks:write"):
                invitations.invite(role=role, **given)
        assert invitations.invite(role=Role.MEMBER, **given)

    def test_lets_only_an_owner_take_the_place_of_an_owners(self, acme, ann):
        first = invite(acme, ann, BOB, Role.OWNER)
        let_a_minute_pass()
        eve = make_member(acme, "eve@acme.example", Role.ADMIN)
        with pytest.raises(RoleRefused, match="undo"):
            invite(acme, eve, BOB, Role.MEMBER)
        assert Invitation.objects.open().get() == first
        assert invite(acme, ann, BOB, Role.MEMBER)

    def test_does_not_count_an_owner_of_another_tenant(self, ann):
        with pytest.raises(RoleRefused):
            invite(make_tenant("globex"), ann, BOB, Role.OWNER)

    @pytest.mark.parametrize(
        "name", ["Acme\r\nBcc: eve@evil.example", "=?utf-8?q?x?=", "\u202eemcA", "x" * 200]
    )
    def test_sends_a_sound_subject_whatever_the_tenant_is_called(self, acme, ann, name):
        acme.name = name
        acme.save()
        invite(acme, ann)
        run_enqueued_jobs()
        [sent] = mail.outbox
        assert sent.subject.startswith("Join ")
        assert len(sent.subject.splitlines()) == 1
        assert sent.recipients() == [BOB]

    def test_escapes_names_in_the_mail(self, acme, ann):
        acme.name = ann.name = '<a href="https://evil.example">Click</a>'
        acme.save(), ann.save()
        invite(acme, ann)
        html = Notification.objects.get().html.get_secret_value()
        assert html.count("&lt;a href=&quot;https://evil.example") == 3
        assert 'href="https://evil.example"' not in html


class TestResend:
    def resend(self, acme, ann, invitation, **more):
        let_a_minute_pass()
        given = {"by": person(ann), "now": timezone.now(), **more}
        return invitations.resend(tenant=acme, invitation_id=invitation.pk, **given)

    def test_replaces_the_link(self, acme, ann, bob):
        invitation, old = invite_and_read(acme, ann)
        self.resend(acme, ann, invitation)
        new = read_token()

        assert new != old
        with pytest.raises(InvitationRefused):
            accept(old, bob)
        assert accept(new, bob).user == bob
        assert Invitation.objects.count() == 1

    def test_makes_one_that_expired_acceptable_again(self, acme, ann, bob, settings):
        invitation = invite(acme, ann)
        later = invitation.expires_at + timedelta(days=1)

        renewed = self.resend(acme, ann, invitation, now=later)

        expected = later + timedelta(hours=settings.ACCOUNTS_INVITATION_HOURS)
        assert renewed.expires_at == expected
        assert accept(read_token(), bob, now=later)

    @pytest.mark.parametrize("column", ["accepted_at", "revoked_at"])
    def test_refuses_one_that_is_over(self, acme, ann, column):
        invitation = invite(acme, ann)
        run_enqueued_jobs()
        Invitation.objects.update(**{column: timezone.now()})
        with pytest.raises(InvitationOver, match=column.removesuffix("_at")):
            self.resend(acme, ann, invitation)
        assert run_enqueued_jobs() == []

    def test_lets_no_admin_renew_an_owners_invitation(self, acme, ann):
        invitation = invite(acme, ann, BOB, Role.OWNER)
        eve = make_member(acme, "eve@acme.example", Role.ADMIN)
        with pytest.raises(RoleRefused):
            self.resend(acme, eve, invitation)

    def test_gives_nothing_that_a_token_has_not(self, acme, ann):
        invitation = invite(acme, ann, BOB, Role.ADMIN)
        program = Inviter(user=ann, scopes=MEMBER_SCOPES | {Scope.INVITATIONS_WRITE})
        with pytest.raises(RoleRefused, match="webhooks:write"):
            self.resend(acme, ann, invitation, by=program)

    def test_stands_for_one_whose_inviter_is_gone(self, acme, ann, bob):
        invitation = invite(acme, ann)
        cid = make_member(acme, "cid@acme.example", Role.ADMIN)
        assert self.resend(acme, cid, invitation).invited_by == ann
        operations.remove_member(tenant=acme, user=ann)
        assert self.resend(acme, cid, invitation).invited_by == cid
        assert accept(read_token(), bob).tenant == acme

    def test_finds_no_foreign_one(self, acme, ann):
        invitation = invite(acme, ann)
        globex = make_tenant("globex")
        gil = make_member(globex, "gil@globex.example", Role.OWNER)
        with pytest.raises(UnknownInvitation):
            self.resend(globex, gil, invitation)


class TestRevoke:
    def revoke(self, tenant, user, invitation, *, now=None):
        return invitations.revoke(
            tenant=tenant,
            invitation_id=invitation.pk,
            by=person(user),
            now=now or timezone.now(),
        )

    def test_of_an_owners_needs_an_owner(self, acme, ann):
        eve = make_member(acme, "eve@acme.example", Role.ADMIN)
        owners = invite(acme, ann, BOB, Role.OWNER)
        admins = invite(acme, ann, "cid@acme.example", Role.ADMIN)
        with pytest.raises(RoleRefused):
            self.revoke(acme, eve, owners)
        assert self.revoke(acme, eve, admins).revoked_at
        assert self.revoke(acme, ann, owners).revoked_at

    def test_kills_the_link_and_keeps_the_first_moment(self, acme, ann, bob):
        invitation, token = invite_and_read(acme, ann)
        first = timezone.now()
        for now in (first, first + timedelta(days=1)):
            assert self.revoke(acme, ann, invitation, now=now).revoked_at == first
        with pytest.raises(InvitationRefused):
            accept(token, bob)

    def test_refuses_one_that_was_accepted(self, acme, ann, bob):
        invitation, token = invite_and_read(acme, ann)
        accept(token, bob)
        with pytest.raises(InvitationOver, match="accepted"):
            self.revoke(acme, ann, invitation)
        assert Membership.objects.filter(user=bob).exists()

    def test_finds_no_foreign_one(self, acme, ann):
        invitation = invite(acme, ann)
        with pytest.raises(UnknownInvitation):
            self.revoke(make_tenant("globex"), ann, invitation)


class TestLimits:
    def test_send_an_address_one_mail_a_minute(self, acme, ann):
        first = invite(acme, ann)
        given: dict[str, Any] = {"tenant": acme, "by": person(ann)}
        given["now"] = first.created_at + MAIL_EVERY - INSTANT
        new: dict[str, Any] = {"email": BOB.upper(), "role": Role.MEMBER}
        with pytest.raises(SentTooSoon, match="in 1 s"):
            invitations.invite(**given, **new)
        with pytest.raises(SentTooSoon, match="in 1 s"):
            invitations.resend(**given, invitation_id=first.pk)
        assert Notification.objects.count() == 1

        given["now"] += INSTANT
        renewed = invitations.resend(**given, invitation_id=first.pk)
        assert renewed.sent_at == given["now"]
        with pytest.raises(SentTooSoon, match="in 60 s"):
            invitations.invite(**given, **new)

    @pytest.mark.parametrize("column", ["accepted_at", "revoked_at"])
    def test_count_mails_of_invitations_that_are_over(self, acme, ann, column):
        invite(acme, ann)
        Invitation.objects.update(**{column: timezone.now()})
        with pytest.raises(SentTooSoon):
            invite(acme, ann)

    def test_count_neither_other_addresses_nor_other_tenants(self, acme, ann):
        invite(acme, ann)
        globex = make_tenant("globex")
        assert invite(acme, ann, "cid@acme.example")
        assert invite(globex, make_member(globex, "gil@globex.example", Role.OWNER))

    def test_leave_a_tenant_so_many_open_ones(self, acme, ann, monkeypatch):
        monkeypatch.setattr(invitation_limits, "OPEN_MAX", 2)
        invite(acme, ann, "cid@acme.example")
        last = invite(acme, ann)
        with pytest.raises(TooManyInvitations, match="at most 2"):
            invite(acme, ann, "dan@acme.example")
        assert Notification.objects.count() == 2

        let_a_minute_pass()
        assert invite(acme, ann)  # In the place of the last.
        last = Invitation.objects.open().get(email=BOB)
        Invitation.objects.filter(pk=last.pk).update(revoked_at=timezone.now())
        assert invite(acme, ann, "dan@acme.example")


class TestRemoval:
    def test_ends_what_was_open_for_the_address_in_this_tenant(self, acme, ann, bob):
        globex = make_tenant("globex")
        gil = make_member(globex, "gil@globex.example", Role.OWNER)
        operations.add_member(tenant=acme, user=bob)
        mine, token = invite_and_read(acme, ann)
        foreign, others = invite(globex, gil), invite(acme, ann, "cid@acme.example")

        operations.remove_member(tenant=acme, user=bob)

        assert set(Invitation.objects.open()) == {foreign, others}
        with pytest.raises(InvitationRefused):
            accept(token, bob)
        assert not acme.memberships.filter(user=bob).exists()

    def test_of_a_person_for_good_does_so_too(self, acme, ann, bob):
        operations.add_member(tenant=acme, user=bob)
        invitation = invite(acme, ann)
        bob.delete()
        invitation.refresh_from_db()
        assert invitation.revoked_at


class TestLink:
    def test_ignores_the_host_that_a_request_names(self, settings):
        settings.PUBLIC_URL = "https://offload.example"
        assert link_of("inv_x") == "https://offload.example/invitations/accept?token=inv_x"


class TestCleanUp:
    def test_forgets_what_was_revoked_too(self, acme, ann, settings):
        settings.ACCOUNTS_INVITATIONS_KEEP_DAYS = 5
        now = timezone.now()
        before = now - timedelta(days=5)
        moments = {"gone": before - timedelta(microseconds=1), "kept": before, "open": None}
        for name, revoked_at in moments.items():
            row = invite(acme, ann, f"{name}@acme.example")
            Invitation.objects.filter(pk=row.pk).update(revoked_at=revoked_at)

        assert delete_expired_invitations(now=now) == 1
        left = set(Invitation.objects.values_list("email", flat=True))
        assert left == {"kept@acme.example", "open@acme.example"}

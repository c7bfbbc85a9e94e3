"""Who may accept an invitation, how often, and what comes of it."""

from datetime import timedelta

import pytest
from django.core import mail
from django.utils import timezone

from jobs.models import Event, Job
from jobs.testing import run_enqueued_jobs
from project.accounts import invitations, operations
from project.accounts.errors import InvitationRefused
from project.accounts.inviters import Inviter
from project.accounts.models import Invitation, Membership, User
from project.accounts.scopes import Role
from tests.invitations import invite_and_read, read_token
from tests.people import make_member, make_tenant, make_user

pytestmark = pytest.mark.django_db

BOB = "bob@acme.example"


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


def announced():
    return [job.payload for job in Job.objects.filter(type="notifications.announce_event")]


class TestAccept:
    def test_makes_a_member_and_tells_the_inviter(self, acme, ann, bob):
        invitation, token = invite_and_read(acme, ann, role=Role.ADMIN)
        now = timezone.now()

        member = accept(token, bob, now=now)

        assert (member.tenant, member.user, member.role) == (acme, bob, Role.ADMIN)
        invitation.refresh_from_db()
        assert (invitation.accepted_at, invitation.accepted_by) == (now, bob)
        assert events() == [("invitation.sent", acme.pk), ("invitation.accepted", acme.pk)]
        [told] = announced()
        assert told["data"] == {
            "invitation_id": str(invitation.pk), "email": BOB, "role": "admin"
        }  # fmt: skip
        run_enqueued_jobs()
        assert mail.outbox[-1].to == ["ann@acme.example"]
        assert BOB in mail.outbox[-1].body

    def test_takes_the_address_of_the_account_in_any_case(self, acme, ann):
        _, token = invite_and_read(acme, ann, "BOB@Acme.Example")
        assert accept(token, make_user("Bob@ACME.example")).tenant == acme

    @pytest.mark.parametrize("role", [Role.OWNER, Role.MEMBER])
    def test_leaves_a_member_the_role_that_they_have(self, acme, ann, role):
        bob = make_member(acme, BOB, role)
        _, token = invite_and_read(acme, ann, role=Role.ADMIN)
        assert accept(token, bob).role == role
        assert Membership.objects.get(user=bob).role == role

    def test_answers_the_same_person_twice_and_does_it_once(self, acme, ann, bob):
        _, token = invite_and_read(acme, ann)
        first, second = accept(token, bob), accept(token, bob)
        assert first == second
        assert len(announced()) == 1
        assert events().count(("invitation.accepted", acme.pk)) == 1

    def test_lets_nobody_back_in_who_was_removed(self, acme, ann, bob):
        _, token = invite_and_read(acme, ann)
        accept(token, bob)
        operations.remove_member(tenant=acme, user=bob)
        with pytest.raises(InvitationRefused):
            accept(token, bob)
        assert not Membership.objects.filter(user=bob).exists()

    def test_refuses_from_the_moment_that_it_expires(self, acme, ann, bob):
        invitation, token = invite_and_read(acme, ann)
        with pytest.raises(InvitationRefused):
            accept(token, bob, now=invitation.expires_at)
        assert accept(token, bob, now=invitation.expires_at - timedelta(microseconds=1))

    def test_says_the_same_whatever_is_wrong(self, acme, ann, bob):
        _, foreign = invite_and_read(acme, ann, "cid@acme.example")
        revoked, revoked_token = invite_and_read(acme, ann)
        Invitation.objects.filter(pk=revoked.pk).update(revoked_at=timezone.now())
        used, used_token = invite_and_read(acme, ann)
        Invitation.objects.filter(pk=used.pk).update(accepted_at=timezone.now(), accepted_by=ann)
        expired, expired_token = invite_and_read(acme, ann)
        Invitation.objects.filter(pk=expired.pk).update(expires_at=timezone.now())

        said = set()
        unknown = "inv_" + "A" * 43
        malformed = ("", "inv_", "x" * 5000, foreign + "A", f"{foreign}\n", "inv_\0", "inv_\ud800")
        for token in (foreign, revoked_token, used_token, expired_token, unknown, *malformed):
            with pytest.raises(InvitationRefused) as refused:
                accept(token, bob)
            said.add(str(refused.value))

        assert len(said) == 1
        assert not Membership.objects.filter(user=bob).exists()
        assert announced() == []


class TestInviterOfToday:
    @pytest.fixture
    def eve(self, acme):
        return make_member(acme, "eve@acme.example", Role.OWNER)

    def refuses(self, token, user):
        with pytest.raises(InvitationRefused):
            accept(token, user)
        return not Membership.objects.filter(user=user).exists()

    @pytest.mark.parametrize("role", Role.values)
    def test_lets_nobody_in_after_a_removal(self, acme, eve, bob, role):
        _, token = invite_and_read(acme, eve, role=role)
        operations.remove_member(tenant=acme, user=eve)
        assert self.refuses(token, bob)

    @pytest.mark.parametrize(
        ("today", "given"),
        [("member", "member"), ("member", "admin"), ("member", "owner"), ("admin", "owner")],
    )
    def test_lets_nobody_have_what_they_can_not_give(self, acme, eve, bob, today, given):
        _, token = invite_and_read(acme, eve, role=given)
        operations.add_member(tenant=acme, user=eve, role=today)
        assert self.refuses(token, bob)

    def test_lets_in_whom_they_still_could_invite(self, acme, eve, bob):
        _, token = invite_and_read(acme, eve, role=Role.ADMIN)
        operations.add_member(tenant=acme, user=eve, role=Role.ADMIN)
        assert accept(token, bob).role == Role.ADMIN

    def test_counts_for_nothing_once_locked_out_or_deleted(self, acme, eve, bob):
        _, token = invite_and_read(acme, eve)
        User.objects.filter(pk=eve.pk).update(is_active=False)
        assert self.refuses(token, bob)
        eve.delete()
        assert self.refuses(token, bob)

    def test_counts_in_this_tenant_alone(self, acme, eve, bob):
        _, token = invite_and_read(acme, eve)
        operations.remove_member(tenant=acme, user=eve)
        operations.add_member(tenant=make_tenant("globex"), user=eve, role=Role.OWNER)
        assert self.refuses(token, bob)

    def test_does_not_matter_if_it_was_an_operator(self, acme, bob):
        root = make_user("root@offload.example", is_staff=True, is_superuser=True)
        invitations.invite(
            tenant=acme,
            by=Inviter(user=root, is_operator=True),
            email=BOB,
            role=Role.OWNER,
            now=timezone.now(),
        )
        root.delete()
        assert accept(read_token(), bob).role == Role.OWNER

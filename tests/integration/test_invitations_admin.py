"""Invitations in the admin: what is shown, and who may do what."""

import pytest
from django.contrib.admin.models import LogEntry
from django.urls import reverse
from django.utils import timezone

from project.accounts import invitation_limits, invitations
from project.accounts.models import Invitation
from project.accounts.scopes import Role
from tests.invitations import TOKEN, invite, invite_and_read, let_a_minute_pass, read_token
from tests.people import OPERATOR, WHO, browser_of, make_member, make_user

pytestmark = pytest.mark.django_db

LIST = reverse("admin:accounts_invitation_changelist")
ADD = reverse("admin:accounts_invitation_add")
BOB = "bob@acme.example"
POWERS = ("add_invitation", "resend_invitation", "revoke_invitation")
SEEN = ("view_invitation", "view_tenant")


@pytest.fixture
def ann(acme):
    return make_member(acme, "ann@acme.example", Role.OWNER)


def page_of(invitation, action="change"):
    return reverse(f"admin:accounts_invitation_{action}", args=[invitation.pk])


def form_of(acme, **changes):
    return {"tenant": acme.pk, "email": BOB, "role": "member", **changes}


def browser(who, permission):
    return browser_of(who, permission, others=POWERS, seen=SEEN)


def history():
    return [(str(entry.user), entry.get_change_message()) for entry in LogEntry.objects.all()]


class TestPages:
    @pytest.mark.parametrize("lookup", ["token_sha256", "token_sha256__startswith"])
    def test_refuse_to_look_into_a_hash_that_they_do_not_show(self, admin, lookup):
        assert admin.get(LIST, {lookup: "a"}).status_code == 400

    def test_show_each_status_and_never_the_token(self, admin, acme, ann):
        invitation, token = invite_and_read(acme, ann)
        pages = [LIST, f"{LIST}?q=bob", page_of(invitation), page_of(invitation, "history")]
        now = timezone.now()
        for changes in ({"accepted_at": None}, {"expires_at": now}, {"revoked_at": now}):
            Invitation.objects.update(**changes)
            invitation.refresh_from_db()
            texts = [admin.get(page).text for page in pages]
            status = invitation.status(now=timezone.now())
            assert status in texts[0]
            assert status in texts[2]
            for text in texts:
                assert BOB in text
                assert token not in text
                assert invitation.token_sha256 not in text

    @pytest.mark.parametrize("status", ["pending", "accepted", "revoked", "expired"])
    def test_are_filtered_by_status(self, admin, acme, ann, status):
        invite(acme, ann)
        page = admin.get(f"{LIST}?status={status}").text
        assert (BOB in page) == (status == "pending")

    def test_change_and_delete_nothing(self, admin, acme, ann):
        invitation = invite(acme, ann)
        assert admin.post(page_of(invitation), {"email": "eve@acme.example"}).status_code == 403
        assert admin.post(page_of(invitation, "delete"), {"post": "yes"}).status_code == 403


class TestInvite:
    def test_sends_the_mail_and_keeps_the_token_from_the_operator(self, admin, acme):
        page = admin.post(ADD, form_of(acme, role="owner"), follow=True).text
        invitation = Invitation.objects.get()
        assert (invitation.tenant, invitation.email, invitation.role) == (acme, BOB, "owner")
        assert str(invitation.invited_by) == OPERATOR
        assert read_token()
        assert not TOKEN.search(page)
        assert history() == [(OPERATOR, "Added.")]

    def test_takes_the_place_of_an_open_one(self, admin, acme, ann):
        invite(acme, ann)
        let_a_minute_pass()
        assert admin.post(ADD, form_of(acme)).status_code == 302
        assert Invitation.objects.open().count() == 1
        assert Invitation.objects.count() == 2

    @pytest.mark.parametrize(
        ("changes", "complaint"),
        [
            ({"email": "bob"}, "valid email"),
            ({"email": "bob%eve@acme.example"}, "must not say the way"),
            ({"role": "king"}, "valid choice"),
            ({"tenant": ""}, "required"),
        ],
    )
    def test_is_refused_beside_the_field(self, admin, acme, changes, complaint):
        page = admin.post(ADD, form_of(acme, **changes))
        assert page.status_code == 200
        assert complaint in page.text
        assert not Invitation.objects.exists()

    @pytest.mark.parametrize("role", ["admin", "owner"])
    def test_lets_only_superusers_make_admins_and_owners(self, admin, acme, role):
        staff = browser("staff with", "add_invitation")
        page = staff.post(ADD, form_of(acme, role=role))
        [complaint] = page.context["adminform"].form.errors["role"]
        assert complaint == "Only a superuser can invite admins and owners here."
        assert not Invitation.objects.exists()
        assert admin.post(ADD, form_of(acme, role=role)).status_code == 302

    def test_lets_staff_replace_no_owners(self, acme, ann):
        invite(acme, ann, BOB, Role.OWNER)
        let_a_minute_pass()
        page = browser("staff with", "add_invitation").post(ADD, form_of(acme))
        assert "undo the invitation of an owner" in page.text
        assert Invitation.objects.open().get().role == Role.OWNER

    def test_stays_good_whatever_becomes_of_the_operator(self, acme):
        staff = browser("staff with", "add_invitation")
        assert staff.post(ADD, form_of(acme)).status_code == 302
        assert Invitation.objects.get().by_operator
        assert invitations.accept(token=read_token(), user=make_user(BOB), now=timezone.now())

    def test_says_what_limit_is_reached(self, admin, acme, ann, monkeypatch):
        invite(acme, ann)
        page = admin.post(ADD, form_of(acme))
        assert "try again in" in page.context["adminform"].form.errors["email"][0]
        monkeypatch.setattr(invitation_limits, "OPEN_MAX", 1)
        page = admin.post(ADD, form_of(acme, email="cid@acme.example"))
        assert "at most 1" in page.context["adminform"].form.errors["email"][0]
        assert Invitation.objects.count() == 1

    @pytest.mark.parametrize("who", WHO)
    def test_needs_its_permission(self, acme, who):
        browser(who, "add_invitation").post(ADD, form_of(acme))
        assert Invitation.objects.exists() == (who in ("staff with", "superuser"))


class TestResend:
    def test_replaces_the_link_and_is_noted(self, admin, acme, ann):
        invitation, old = invite_and_read(acme, ann)
        let_a_minute_pass()
        question = admin.get(page_of(invitation, "resend"))
        assert "Send this invitation again" in question.text
        admin.post(page_of(invitation, "resend"))
        assert read_token() != old
        assert history() == [
            (OPERATOR, f"Sent the invitation of {invitation} again; its old link is dead.")
        ]

    def test_of_several_says_which_are_over(self, admin, acme, ann):
        first, second = invite(acme, ann), invite(acme, ann, "cid@acme.example")
        Invitation.objects.filter(pk=first.pk).update(accepted_at=timezone.now())
        let_a_minute_pass()
        form = {"action": "resend_selected", "_selected_action": [first.pk, second.pk]}
        page = admin.post(LIST, form, follow=True).text
        assert f"Invitation {first.pk} is accepted" in page
        assert "Sent the invitation of cid@acme.example" in page

    @pytest.mark.parametrize("who", WHO)
    def test_needs_its_permission(self, acme, ann, who):
        invitation = invite(acme, ann)
        let_a_minute_pass()
        client = browser(who, "resend_invitation")
        client.post(page_of(invitation, "resend"))
        client.post(LIST, {"action": "resend_selected", "_selected_action": [invitation.pk]})
        changed = Invitation.objects.get().token_sha256 != invitation.token_sha256
        assert changed == (who in ("staff with", "superuser"))

    def test_that_comes_too_soon_is_told_so(self, admin, acme, ann):
        invitation = invite(acme, ann)
        page = admin.post(page_of(invitation, "resend"), follow=True)
        assert "try again in" in page.text
        assert history() == []

    def test_lets_staff_make_no_admins(self, acme, ann):
        invitation = invite(acme, ann, role=Role.ADMIN)
        let_a_minute_pass()
        staff = browser("staff with", "resend_invitation")
        page = staff.post(page_of(invitation, "resend"), follow=True)
        assert "Only a superuser" in page.text
        assert Invitation.objects.get().token_sha256 == invitation.token_sha256


class TestRevoke:
    def test_of_an_owners_needs_a_superuser(self, admin, acme, ann):
        invitation = invite(acme, ann, role=Role.OWNER)
        staff = browser("staff with", "revoke_invitation")
        page = staff.post(page_of(invitation, "revoke"), follow=True)
        assert "undo the invitation of an owner" in page.text
        assert Invitation.objects.open().exists()
        admin.post(page_of(invitation, "revoke"))
        assert not Invitation.objects.open().exists()

    def test_is_noted(self, admin, acme, ann):
        invitation = invite(acme, ann)
        admin.post(page_of(invitation, "revoke"))
        invitation.refresh_from_db()
        assert invitation.revoked_at
        assert history() == [(OPERATOR, f"Revoked the invitation of {invitation}.")]

    @pytest.mark.parametrize("who", WHO)
    def test_needs_its_permission(self, acme, ann, who):
        invitation = invite(acme, ann)
        client = browser(who, "revoke_invitation")
        client.post(page_of(invitation, "revoke"))
        client.post(LIST, {"action": "revoke_selected", "_selected_action": [invitation.pk]})
        invitation.refresh_from_db()
        assert bool(invitation.revoked_at) == (who in ("staff with", "superuser"))

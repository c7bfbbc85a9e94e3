"""Mails of invitations that wait for a mail server while their links die."""

import threading
from datetime import timedelta
from functools import partial

import pytest
from django.core import mail
from django.utils import timezone

from jobs.engine import lifecycle
from jobs.errors import MoveRefused
from jobs.models import Job
from jobs.states import JobState
from jobs.testing import run_enqueued_jobs
from notifications.models import Notification
from notifications.retention import delete_expired
from project.accounts import invitations, operations
from project.accounts.errors import SentTooSoon
from project.accounts.models import Invitation
from project.accounts.scopes import Role
from tests.cleaning import meanwhile
from tests.deliveries import at_once
from tests.invitations import TOKEN, invite, invite_and_read, let_a_minute_pass, person
from tests.people import make_member, make_tenant, make_user

pytestmark = pytest.mark.django_db

BOB = "bob@acme.example"


@pytest.fixture
def ann(acme):
    return make_member(acme, "ann@acme.example", Role.OWNER)


def resend(tenant, user, invitation):
    let_a_minute_pass()
    return invitations.resend(
        tenant=tenant, invitation_id=invitation.pk, by=person(user), now=timezone.now()
    )


def revoke(tenant, user, invitation):
    return invitations.revoke(
        tenant=tenant, invitation_id=invitation.pk, by=person(user), now=timezone.now()
    )


def statuses():
    """Return how the mails stand, oldest first."""
    return list(Notification.objects.order_by("pk").values_list("status", flat=True))


def arrived():
    """Let the mail server come back, and return the tokens that reach Bob."""
    run_enqueued_jobs()
    return [TOKEN.findall(str(sent.body))[0] for sent in mail.outbox if sent.to == [BOB]]


class TestAMailThatWaits:
    def test_is_cancelled_with_its_invitation(self, acme, ann):
        invitation = invite(acme, ann)
        revoke(acme, ann, invitation)
        assert arrived() == []
        assert statuses() == ["cancelled"]
        assert Job.objects.get().error == "Cancelled by ann@acme.example."

    def test_gives_way_to_the_mail_with_the_new_link(self, acme, ann):
        invitation = invite(acme, ann)
        for _ in range(2):
            resend(acme, ann, invitation)
        [token] = arrived()
        assert statuses() == ["cancelled", "cancelled", "sent"]
        assert invitations.accept(token=token, user=make_user(BOB), now=timezone.now())

    def test_gives_way_to_that_of_another_invitation(self, acme, ann):
        invite(acme, ann)
        let_a_minute_pass()
        invite(acme, ann, BOB.upper())
        assert len(arrived()) == 1
        assert statuses() == ["cancelled", "sent"]

    def test_is_cancelled_when_its_member_is_removed(self, acme, ann):
        bob = make_member(acme, BOB)
        invite(acme, ann)
        operations.remove_member(tenant=acme, user=bob)
        assert arrived() == []

    def test_of_another_address_or_tenant_is_sent_all_the_same(self, acme, ann):
        globex = make_tenant("globex")
        invite(globex, make_member(globex, "gil@globex.example", Role.OWNER))
        invite(acme, ann, "cid@acme.example")
        revoke(acme, ann, invite(acme, ann))
        assert len(arrived()) == 1
        assert sorted(statuses()) == ["cancelled", "sent", "sent"]

    def test_outlives_a_resend_that_is_refused(self, acme, ann):
        invitation = invite(acme, ann)
        with pytest.raises(SentTooSoon):
            invitations.resend(
                tenant=acme, invitation_id=invitation.pk, by=person(ann), now=timezone.now()
            )
        assert len(arrived()) == 1


class TestAMailThatIsBeyondRecall:
    def test_was_sent_and_stays_so(self, acme, ann):
        invitation, _ = invite_and_read(acme, ann)
        assert resend(acme, ann, invitation)
        assert revoke(acme, ann, invitation).revoked_at
        assert statuses() == ["sent", "cancelled"]

    def test_may_be_under_way(self, acme, ann):
        invitation = invite(acme, ann)
        Job.objects.update(state=JobState.RUNNING, dispatch=1, attempt=1, started_at=timezone.now())
        running = Job.objects.get()
        assert revoke(acme, ann, invitation).revoked_at
        with pytest.raises(MoveRefused):
            lifecycle.succeed(running)

    def test_may_be_deleted(self, acme, ann):
        invitation, _ = invite_and_read(acme, ann)
        delete_expired(now=timezone.now() + timedelta(days=10_000))
        assert not Notification.objects.exists()
        assert resend(acme, ann, invitation)
        assert revoke(acme, ann, invitation).revoked_at

    def test_may_have_left_no_id_in_an_older_release(self, acme, ann):
        invitation = invite(acme, ann)
        Invitation.objects.update(mail_id=None)
        assert revoke(acme, ann, invitation).revoked_at
        assert len(arrived()) == 1


@pytest.mark.django_db(transaction=True)
class TestAResendThatHasNotCommitted:
    def test_is_seen_by_the_removal_that_waits_for_it(self, acme, ann):
        bob = make_member(acme, BOB)
        invitation = invite(acme, ann)
        remove = partial(operations.remove_member, tenant=acme, user=bob)

        with meanwhile(partial(resend, acme, ann, invitation)):
            other = threading.Thread(target=lambda: at_once(remove))
            other.start()
        other.join()

        assert statuses() == ["cancelled", "cancelled"]

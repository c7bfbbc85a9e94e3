"""Invites people for tests, and reads what only the mail tells: the token."""

import re

from django.core import mail
from django.utils import timezone

from jobs.testing import run_enqueued_jobs
from project.accounts import invitations
from project.accounts.invitation_limits import MAIL_EVERY
from project.accounts.invitation_tokens import digest_of
from project.accounts.inviters import Inviter
from project.accounts.models import Invitation, Tenant, User
from project.accounts.scopes import ROLE_SCOPES, Role

PAGE = "/invitations/accept"
TOKEN = re.compile(r"inv_[\w-]{43}")


def invite(
    tenant: Tenant, owner: User, email: str = "bob@acme.example", role: str = Role.MEMBER
) -> Invitation:
    return invitations.invite(
        tenant=tenant, by=person(owner), email=email, role=role, now=timezone.now()
    )


def person(user: User) -> Inviter:
    """Return somebody who is signed in: only their role in the tenant limits them."""
    return Inviter(user=user, scopes=ROLE_SCOPES[Role.OWNER])


def let_a_minute_pass() -> None:
    """Make it as if the last mail to each address were sent a minute ago."""
    Invitation.objects.update(sent_at=timezone.now() - MAIL_EVERY)


def read_token() -> str:
    """Have all mails sent and return the token in the newest."""
    run_enqueued_jobs()
    [token] = set(TOKEN.findall(str(mail.outbox[-1].body)))
    return str(token)


def invite_and_read(
    tenant: Tenant, owner: User, email: str = "bob@acme.example", role: str = Role.MEMBER
) -> tuple[Invitation, str]:
    let_a_minute_pass()
    invitation = invite(tenant, owner, email, role)
    token = read_token()
    assert digest_of(token) == invitation.token_sha256
    return invitation, token

"""The only module that writes invitations: invite, send again, revoke, accept."""

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction

from jobs import record_event
from jobs.announcements import announce
from notifications.channels.email.rules import check_address
from project.accounts import operations, queries
from project.accounts.errors import InvitationOver, InvitationRefused
from project.accounts.fields import lowered
from project.accounts.invitation_limits import (
    let_nobody_invite_meanwhile,
    refuse_mail_too_soon,
    refuse_too_many,
)
from project.accounts.invitation_mails import send_invitation, stop_invitation
from project.accounts.invitation_tokens import digest_of, new_token
from project.accounts.inviters import Inviter
from project.accounts.models import Invitation, InvitationQuerySet, Membership, Tenant, User
from project.accounts.scopes import Role
from project.accounts.states import InvitationStatus


@transaction.atomic
def invite(*, tenant: Tenant, by: Inviter, email: str, role: str, now: datetime) -> Invitation:
    """
    Store an invitation and its mail; an open one of the same address is revoked, mail and all.

    Looks at no account and no membership of the address, so it says and does the same for all.

    :raises MailRefused: if no mail can go to the address.
    :raises RoleRefused: if the inviter may not give the role, or not undo the open one.
    :raises SentTooSoon: if the address had a mail of this tenant a moment ago.
    :raises TooManyInvitations: if the tenant has as many open ones as it may.
    """
    email = check_invitation(tenant=tenant, by=by, email=email, role=role, now=now)
    token = new_token()
    revoke_all_of(tenant_id=tenant.pk, email=email, by=str(by.user), now=now)
    invitation = Invitation(
        tenant=tenant,
        invited_by=by.user,
        by_operator=by.is_operator,
        email=email,
        role=Role(role),
        token_sha256=digest_of(token),
        created_at=now,
        sent_at=now,
        expires_at=_expiry(now),
    )
    invitation.mail_id = send_invitation(invitation, token=token)
    invitation.save(force_insert=True)
    record_event("invitation.sent", tenant_id=tenant.pk)
    return invitation


def check_invitation(*, tenant: Tenant, by: Inviter, email: str, role: str, now: datetime) -> str:
    """
    Refuse what `invite` refuses, and return the address as it will be stored.

    Call it in a transaction: until that ends nobody else invites to the tenant, so what is
    not refused here is not refused by `invite` either.
    """
    email = lowered(check_address(email))
    by.refuse_to_give(role, tenant=tenant)
    let_nobody_invite_meanwhile(tenant)
    for replaced in _open_of(tenant.pk, email):
        by.refuse_to_undo(replaced.role, tenant=tenant)
    refuse_mail_too_soon(tenant=tenant, email=email, now=now)
    refuse_too_many(tenant=tenant, email=email)
    return str(email)


@transaction.atomic
def resend(*, tenant: Tenant, invitation_id: UUID, by: Inviter, now: datetime) -> Invitation:
    """
    Send an open invitation once more, with a new token and a new expiry; the old link is dead.

    So is the old mail, if it has not been sent yet.
    If its inviter may no longer give the role, whoever sends it takes their place.

    :raises UnknownInvitation: if there is none, or it belongs to another tenant.
    :raises RoleRefused: if they could not invite to its role.
    :raises InvitationOver: if it was accepted or revoked.
    :raises SentTooSoon: if the address had a mail of this tenant a moment ago.
    """
    invitation = queries.get_invitation(tenant.pk, invitation_id)
    by.refuse_to_give(invitation.role, tenant=tenant)
    let_nobody_invite_meanwhile(tenant)
    _lock_open(invitation, now=now)
    refuse_mail_too_soon(tenant=tenant, email=invitation.email, now=now)
    token = new_token()
    row = Invitation.objects.filter(pk=invitation.pk)
    row.update(token_sha256=digest_of(token), sent_at=now, expires_at=_expiry(now))
    if not queries.is_acceptable(invitation, now=now):
        row.update(invited_by=by.user, by_operator=by.is_operator)
    invitation.refresh_from_db()
    stop_invitation(invitation.mail_id, tenant_id=tenant.pk, by=str(by.user))
    invitation.mail_id = send_invitation(invitation, token=token)
    row.update(mail_id=invitation.mail_id)
    return invitation


@transaction.atomic
def revoke(*, tenant: Tenant, invitation_id: UUID, by: Inviter, now: datetime) -> Invitation:
    """
    Make the link of an invitation worthless, and stop its mail if that has not been sent yet.

    Revoking twice keeps the first moment.

    :raises UnknownInvitation: if there is none, or it belongs to another tenant.
    :raises RoleRefused: if it is an owner's, and they are no owner.
    :raises InvitationOver: if it was accepted: remove the member instead.
    """
    invitation = queries.get_invitation(tenant.pk, invitation_id)
    by.refuse_to_undo(invitation.role, tenant=tenant)
    # Losing the race means that it was accepted or revoked a moment ago; the row says which.
    Invitation.objects.open().filter(pk=invitation.pk).update(revoked_at=now)
    invitation.refresh_from_db()
    if invitation.accepted_at is not None:
        raise InvitationOver(invitation.pk, InvitationStatus.ACCEPTED)
    stop_invitation(invitation.mail_id, tenant_id=tenant.pk, by=str(by.user))
    return invitation


@transaction.atomic
def revoke_all_of(*, tenant_id: UUID, email: str, by: str, now: datetime) -> None:
    """Make the links that this address has to this tenant worthless, and stop their mails."""
    opened = _open_of(tenant_id, email)
    # Locked, so that nobody sends one again meanwhile, by a mail that is not among these.
    mails = list(opened.select_for_update().values_list("mail_id", flat=True))
    opened.update(revoked_at=now)
    for mail_id in mails:
        stop_invitation(mail_id, tenant_id=tenant_id, by=by)


@transaction.atomic
def accept(*, token: str, user: User, now: datetime) -> Membership:
    """
    Make the person a member by the token that was mailed to their address. Idempotent.

    Whoever is a member already keeps their role. An inviter who could not give the role today,
    removed or demoted, lets nobody in.

    :raises InvitationRefused: if this person can't accept this token, whatever the reason.
    """
    invitation = queries.get_invitation_of_token(token)
    if invitation.email != lowered(user.email):
        raise InvitationRefused
    # The WHERE clause is the lock, and names the token: a link that was replaced meanwhile is
    # dead. Losing means that the invitation is over, perhaps because the same person clicked twice.
    mine = Invitation.objects.acceptable(now=now).filter(
        pk=invitation.pk, token_sha256=invitation.token_sha256
    )
    if not mine.update(accepted_at=now, accepted_by=user):
        return queries.get_joined(invitation, user=user)
    membership = operations.keep_or_add_member(
        tenant=invitation.tenant, user=user, role=invitation.role
    )
    _tell(invitation)
    return membership


def _open_of(tenant_id: UUID, email: str) -> InvitationQuerySet:
    """Return the open invitation of this address, if there is one."""
    return Invitation.objects.open().filter(tenant_id=tenant_id, email=email)


def _lock_open(invitation: Invitation, *, now: datetime) -> None:
    """
    Let nobody accept or revoke it until the transaction ends.

    :raises InvitationOver: if somebody did so before: then nobody may be sent anything.
    """
    if not Invitation.objects.open().filter(pk=invitation.pk).select_for_update():
        invitation.refresh_from_db()
        raise InvitationOver(invitation.pk, invitation.status(now=now))


def _tell(invitation: Invitation) -> None:
    announce(
        "invitation.accepted",
        tenant_id=invitation.tenant_id,
        user_id=invitation.invited_by_id,
        data={
            "invitation_id": str(invitation.pk),
            "email": invitation.email,
            "role": invitation.role,
        },
    )
    record_event("invitation.accepted", tenant_id=invitation.tenant_id)


def _expiry(now: datetime) -> datetime:
    return now + timedelta(hours=settings.ACCOUNTS_INVITATION_HOURS)

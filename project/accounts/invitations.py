"""The only module that writes invitations: invite, send again, revoke, accept."""

from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction

from jobs import record_event
from jobs.announcements import announce
from notifications.channels.email.rules import check_address
from project.accounts import operations, queries
from project.accounts.errors import InvitationOver, InvitationRefused, RoleRefused
from project.accounts.fields import lowered
from project.accounts.invitation_mails import send_invitation
from project.accounts.invitation_tokens import digest_of, new_token
from project.accounts.models import Invitation, Membership, Tenant, User
from project.accounts.scopes import Role
from project.accounts.states import InvitationStatus

#: More lost races in a row than people can cause.
RACES_MAX = 100


@transaction.atomic
def invite(
    *,
    tenant: Tenant,
    invited_by: User,
    email: str,
    role: str,
    now: datetime,
    by_operator: bool = False,
) -> Invitation:
    """
    Store an invitation and its mail; an open one of the same address is revoked.

    Looks at no account and no membership of the address, so it says and does the same for all.
    An operator of the product may invite owners without being one.

    :raises MailRefused: if no mail can go to the address.
    :raises RoleRefused: if somebody who is no owner invites an owner.
    """
    if not by_operator:
        refuse_escalation(tenant=tenant, inviter=invited_by, role=role)
    token = new_token()
    invitation = Invitation(
        tenant=tenant,
        invited_by=invited_by,
        email=check_address(email),
        role=Role(role),
        token_sha256=digest_of(token),
        created_at=now,
        expires_at=_expiry(now),
    )
    _store(invitation, now=now)
    send_invitation(invitation, token=token)
    record_event("invitation.sent", tenant_id=tenant.pk)
    return invitation


@transaction.atomic
def resend(
    *, tenant: Tenant, invitation_id: UUID, by: User, now: datetime, by_operator: bool = False
) -> Invitation:
    """
    Send an open invitation once more, with a new token and a new expiry; the old link is dead.

    :raises UnknownInvitation: if there is none, or it belongs to another tenant.
    :raises RoleRefused: if somebody who is no owner invites an owner.
    :raises InvitationOver: if it was accepted or revoked.
    """
    invitation = queries.get_invitation(tenant.pk, invitation_id)
    if not by_operator:
        refuse_escalation(tenant=tenant, inviter=by, role=invitation.role)
    token = new_token()
    # Of two at once the later one's link works. Losing to an acceptance or a revocation means
    # that nobody may be sent anything.
    still_open = Invitation.objects.open().filter(pk=invitation.pk)
    if not still_open.update(token_sha256=digest_of(token), expires_at=_expiry(now)):
        invitation.refresh_from_db()
        raise InvitationOver(invitation.pk, invitation.status(now=now))
    invitation.refresh_from_db()
    send_invitation(invitation, token=token)
    return invitation


def revoke(*, tenant_id: UUID, invitation_id: UUID, now: datetime) -> Invitation:
    """
    Make the link of an invitation worthless. Revoking twice keeps the first moment.

    :raises UnknownInvitation: if there is none, or it belongs to another tenant.
    :raises InvitationOver: if it was accepted: remove the member instead.
    """
    invitation = queries.get_invitation(tenant_id, invitation_id)
    # Losing the race means that it was accepted or revoked a moment ago; the row says which.
    Invitation.objects.open().filter(pk=invitation.pk).update(revoked_at=now)
    invitation.refresh_from_db()
    if invitation.accepted_at is not None:
        raise InvitationOver(invitation.pk, InvitationStatus.ACCEPTED)
    return invitation


@transaction.atomic
def accept(*, token: str, user: User, now: datetime) -> Membership:
    """
    Make the person a member by the token that was mailed to their address. Idempotent.

    Whoever is a member already keeps their role.

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
        return _joined_before(invitation, user)
    membership = operations.keep_or_add_member(
        tenant=invitation.tenant, user=user, role=invitation.role
    )
    _tell(invitation)
    return membership


def refuse_escalation(*, tenant: Tenant, inviter: User, role: str) -> None:
    """:raises RoleRefused: if the role is the owner's and the inviter is no owner."""
    owners = Membership.objects.filter(tenant=tenant, user=inviter, role=Role.OWNER)
    if role == Role.OWNER and not owners.exists():
        raise RoleRefused


def _store(invitation: Invitation, *, now: datetime) -> None:
    """
    Insert the invitation instead of the open one that its address may have.

    Losing the race means that another one of this address was stored after we had revoked the
    open one. Ours is the later: it takes that one's place too, and both inviters hear the same.
    """
    for _ in range(RACES_MAX):
        same = Invitation.objects.filter(tenant=invitation.tenant, email=invitation.email)
        same.open().update(revoked_at=now)
        try:
            with transaction.atomic():
                return invitation.save(force_insert=True)
        except IntegrityError as error:
            lost = error
    raise lost


def _joined_before(invitation: Invitation, user: User) -> Membership:
    """Return the membership that this person got by this invitation, unless it was taken away."""
    same = Invitation.objects.filter(pk=invitation.pk, token_sha256=invitation.token_sha256)
    member = Membership.objects.filter(tenant=invitation.tenant, user=user).first()
    if member is None or not same.filter(accepted_by=user).exists():
        raise InvitationRefused
    return member


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

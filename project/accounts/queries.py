"""Reads memberships, tokens and invitations."""

from datetime import datetime
from uuid import UUID

from project.accounts.credentials import Credential
from project.accounts.errors import (
    CredentialRefused,
    InvitationRefused,
    NotAMember,
    UnknownInvitation,
)
from project.accounts.invitation_tokens import digest_of, is_token
from project.accounts.models import ApiToken, Invitation, Membership, User
from project.accounts.scopes import ROLE_SCOPES, Scope


def list_memberships(*, user: User) -> list[Membership]:
    """Return the person's memberships with their tenants, oldest first."""
    return list(user.memberships.select_related("tenant").order_by("id"))


def get_membership(*, user: User, tenant_id: UUID | str) -> Membership:
    """
    Return the person's membership of this tenant.

    :raises NotAMember: if there is none, whether or not the tenant exists.
    """
    membership = user.memberships.select_related("tenant").filter(tenant_id=tenant_id).first()
    if membership is None:
        raise NotAMember
    return membership


def list_tenant_ids(*, user: User, scope: Scope) -> list[UUID]:
    """Return the tenants in which the person's role may do this."""
    roles = [role for role, scopes in ROLE_SCOPES.items() if scope in scopes]
    return list(user.memberships.filter(role__in=roles).values_list("tenant_id", flat=True))


def get_token(*, credential: Credential) -> ApiToken:
    """
    Return the token that this credential opens, live or not.

    :raises CredentialRefused: if there is none.
    """
    tokens = ApiToken.objects.select_related("user", "tenant")
    token = tokens.filter(prefix=credential.prefix).first()
    if token is None or not credential.opens(token.secret_sha256):
        raise CredentialRefused("The token is not known.")
    return token


def get_invitation(tenant_id: UUID, invitation_id: UUID) -> Invitation:
    """
    Return one of the tenant's invitations.

    :raises UnknownInvitation: the same for an id that isn't there and for another tenant's.
    """
    invitations = Invitation.objects.select_related("tenant")
    invitation = invitations.filter(tenant_id=tenant_id, pk=invitation_id).first()
    if invitation is None:
        raise UnknownInvitation(invitation_id)
    return invitation


def list_invitations(
    tenant_id: UUID,
    *,
    now: datetime,
    status: str | None = None,
    before: UUID | None = None,
    limit: int = 50,
) -> list[Invitation]:
    """Return the tenant's invitations, newest first; `before` is the id of the last one seen."""
    invitations = Invitation.objects.filter(tenant_id=tenant_id)
    if status:
        invitations = invitations.in_status(status, now=now)
    if before:
        invitations = invitations.filter(pk__lt=before)
    return list(invitations.order_by("-pk")[:limit])


def get_invitation_of_token(token: str) -> Invitation:
    """
    Return the invitation with this token, whatever its status.

    :raises InvitationRefused: if there is none.
    """
    if not is_token(token):
        raise InvitationRefused
    invitations = Invitation.objects.select_related("tenant")
    invitation = invitations.filter(token_sha256=digest_of(token)).first()
    if invitation is None:
        raise InvitationRefused
    return invitation


def get_joined(invitation: Invitation, *, user: User) -> Membership:
    """
    Return the membership that this person got by this invitation, unless it was taken away.

    :raises InvitationRefused: if they did not accept it by the token that was read.
    """
    same = Invitation.objects.filter(pk=invitation.pk, token_sha256=invitation.token_sha256)
    members = Membership.objects.select_related("user", "tenant")
    member = members.filter(tenant=invitation.tenant, user=user).first()
    if member is None or not same.filter(accepted_by=user).exists():
        raise InvitationRefused
    return member


def is_acceptable(invitation: Invitation, *, now: datetime) -> bool:
    """Tell whether it is pending and its inviter may still invite to its role."""
    return Invitation.objects.acceptable(now=now).filter(pk=invitation.pk).exists()

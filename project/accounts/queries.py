"""Reads memberships and tokens."""

from uuid import UUID

from project.accounts.credentials import Credential
from project.accounts.errors import CredentialRefused, NotAMember
from project.accounts.models import ApiToken, Membership, User


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

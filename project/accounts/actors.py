"""The one who makes a request, as the apps see them (`request.actor`)."""

from dataclasses import dataclass
from uuid import UUID

from project.accounts.models import ApiToken, Membership, Tenant, User
from project.accounts.scopes import ROLE_SCOPES


@dataclass(frozen=True, kw_only=True)
class Actor:
    """Satisfies the protocol `jobs.http.Actor`, which is all that the apps know of accounts."""

    user: User | None = None
    tenant: Tenant | None = None
    role: str = ""
    scopes: frozenset[str] = frozenset()
    refused: str = ""  #: Why the request is nobody's, in words for the caller.

    @property
    def is_authenticated(self) -> bool:
        return self.user is not None

    @property
    def user_id(self) -> UUID | None:
        return self.user.pk if self.user else None

    @property
    def tenant_id(self) -> UUID | None:
        return self.tenant.pk if self.tenant else None


def nobody(reason: str) -> Actor:
    return Actor(refused=reason)


def person(user: User, membership: Membership | None) -> Actor:
    """Return someone who is signed in; without a membership they have no tenant and no scopes."""
    if membership is None:
        return Actor(user=user)
    return Actor(
        user=user,
        tenant=membership.tenant,
        role=membership.role,
        scopes=ROLE_SCOPES[membership.role],
    )


def program(token: ApiToken, membership: Membership) -> Actor:
    """Return what acts by a token: its scopes, but never more than its owner's role has today."""
    return Actor(
        user=token.user,
        tenant=token.tenant,
        role=membership.role,
        scopes=ROLE_SCOPES[membership.role] & frozenset(token.scopes),
    )

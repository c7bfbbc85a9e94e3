"""The only module that writes tenants, memberships and tokens, apart from the admin's forms."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction
from django.db.models import Q

from project.accounts import queries
from project.accounts.credentials import new_credential
from project.accounts.errors import UnknownScope
from project.accounts.models import ApiToken, Membership, Tenant, User
from project.accounts.scopes import Role, Scope
from project.accounts.sessions import TENANT_KEY

#: A token in steady use costs one write in this time, not one per request.
USE_NOTED_EVERY = timedelta(minutes=1)


@transaction.atomic
def create_tenant(*, name: str, slug: str, owner: User) -> Tenant:
    """Create a tenant together with its first member."""
    tenant = Tenant.objects.create(name=name, slug=slug)
    add_member(tenant=tenant, user=owner, role=Role.OWNER)
    return tenant


def add_member(*, tenant: Tenant, user: User, role: str = Role.MEMBER) -> Membership:
    """Make the person a member, or give a member another role."""
    membership, _ = Membership.objects.update_or_create(
        tenant=tenant, user=user, defaults={"role": role}
    )
    return membership


def keep_or_add_member(*, tenant: Tenant, user: User, role: str) -> Membership:
    """Make the person a member; one who is a member already keeps the role."""
    membership, _ = Membership.objects.get_or_create(
        tenant=tenant, user=user, defaults={"role": role}
    )
    return membership


def remove_member(*, tenant: Tenant, user: User) -> None:
    """Take the person's access to the tenant away, by session and by token, at once."""
    Membership.objects.filter(tenant=tenant, user=user).delete()


def switch_tenant(*, session: SessionBase, user: User, tenant_id: UUID | str) -> Tenant:
    """
    Let the session work for another tenant of the same person.

    :raises NotAMember: if it is not one of theirs.
    """
    tenant = queries.get_membership(user=user, tenant_id=tenant_id).tenant
    session[TENANT_KEY] = str(tenant.pk)
    return tenant


def create_token(
    *, tenant: Tenant, user: User, name: str, scopes: Collection[str], expires_at: datetime
) -> tuple[ApiToken, str]:
    """
    Create a token and return it with its text, which can't be had again.

    :raises NotAMember: if the user is no member of the tenant.
    :raises UnknownScope: if a scope is not in the table.
    """
    if unknown := set(scopes) - set(Scope.values):
        raise UnknownScope(unknown)
    queries.get_membership(user=user, tenant_id=tenant.pk)
    credential = new_credential()
    token = ApiToken.objects.create(
        tenant=tenant,
        user=user,
        name=name,
        scopes=sorted(scopes),
        expires_at=expires_at,
        prefix=credential.prefix,
        secret_sha256=credential.digest,
    )
    return token, credential.text


def revoke_token(*, token: ApiToken, now: datetime) -> bool:
    """End a token; return whether it still lived. Revoking twice keeps the first moment."""
    live = ApiToken.objects.filter(pk=token.pk, revoked_at=None)
    return bool(live.update(revoked_at=now))


def note_use(*, token: ApiToken, now: datetime) -> None:
    """Store when a token was last used, to the minute."""
    if token.last_used_at and now - token.last_used_at < USE_NOTED_EVERY:
        return
    # Of many requests at once, the first to get here writes; losing means that it is noted.
    stale = Q(last_used_at=None) | Q(last_used_at__lte=now - USE_NOTED_EVERY)
    ApiToken.objects.filter(stale, pk=token.pk).update(last_used_at=now)

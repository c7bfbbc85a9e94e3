"""People, tenants and tokens for tests."""

from collections.abc import Collection
from datetime import datetime, timedelta

from django.utils import timezone

from project.accounts import operations
from project.accounts.models import ApiToken, Tenant, User
from project.accounts.scopes import Role, Scope

PASSWORD = "correct horse battery staple"


def make_tenant(slug: str = "acme") -> Tenant:
    return Tenant.objects.create(name=slug.title(), slug=slug)


def make_user(email: str = "ann@acme.example", **fields) -> User:
    return User.objects.create_user(email, PASSWORD, **fields)


def make_member(
    tenant: Tenant, email: str = "ann@acme.example", role: str = Role.MEMBER, **fields
) -> User:
    user = make_user(email, **fields)
    operations.add_member(tenant=tenant, user=user, role=role)
    return user


def make_token(
    tenant: Tenant,
    user: User,
    *,
    scopes: Collection[str] = tuple(Scope.values),
    expires_at: datetime | None = None,
) -> tuple[ApiToken, str]:
    """Return the token's row and the text that goes after `Bearer`."""
    return operations.create_token(
        tenant=tenant,
        user=user,
        name="Nightly script",
        scopes=scopes,
        expires_at=expires_at or timezone.now() + timedelta(days=1),
    )


def bearer(text: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {text}"}

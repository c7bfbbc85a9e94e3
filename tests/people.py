"""People, tenants and tokens for tests."""

from collections.abc import Collection
from datetime import datetime, timedelta

from django.contrib.auth.models import Permission
from django.test import Client
from django.utils import timezone

from project.accounts import operations
from project.accounts.models import ApiToken, Tenant, User
from project.accounts.scopes import Role, Scope

#: Who has the fixture `admin`.
OPERATOR = "root@offload.example"
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


#: Everybody who may be at an action of the admin, by what they are allowed.
WHO = ("anonymous", "user", "staff without", "staff with", "superuser")


def browser_of(
    who: str, permission: str, *, others: Collection[str], seen: Collection[str]
) -> Client:
    """
    Return the browser of one of WHO, by the codenames of permissions.

    "staff with" may see and has this permission, "staff without" every other instead.
    """
    client = Client()
    if who == "anonymous":
        return client
    staff = who.startswith("staff")
    address = f"{who.replace(' ', '-')}@offload.example"
    top = who == "superuser"
    user = make_user(address, is_staff=staff or top, is_superuser=top)
    if staff:
        given = {*seen, permission} if who == "staff with" else {*seen, *others} - {permission}
        user.user_permissions.add(*Permission.objects.filter(codename__in=given))
    client.force_login(user)
    return client

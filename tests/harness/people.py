"""Two tenants and their people, the same in every system that a test starts."""

from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

PASSWORD = "correct horse battery staple"  # noqa: S105
ADMIN = "admin@offload.example"


@dataclass(frozen=True)
class TenantKnown:
    """A tenant, its owner (who signs in with `PASSWORD`) and a token that may do everything."""

    id: str
    slug: str
    owner_id: str
    owner: str
    token: str


@dataclass(frozen=True)
class People:
    """The administrator signs in as `ADMIN` with `PASSWORD`."""

    acme: TenantKnown
    globex: TenantKnown

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "People":
        return cls(**{name: TenantKnown(**known) for name, known in document.items()})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def create_people() -> People:
    """Create them in the database that Django is connected to."""
    from project.accounts.models import User

    User.objects.create_superuser(ADMIN, PASSWORD)
    return People(acme=_create_tenant("acme"), globex=_create_tenant("globex"))


def _create_tenant(slug: str) -> TenantKnown:
    from django.utils import timezone

    from project.accounts import operations
    from project.accounts.models import User
    from project.accounts.scopes import Scope

    owner = User.objects.create_user(f"owner@{slug}.example", PASSWORD, name=f"Owner of {slug}")
    tenant = operations.create_tenant(name=slug.title(), slug=slug, owner=owner)
    _, token = operations.create_token(
        tenant=tenant,
        user=owner,
        name="tests",
        scopes=Scope.values,
        expires_at=timezone.now() + timedelta(days=1),
    )
    return TenantKnown(str(tenant.pk), slug, str(owner.pk), owner.email, token)

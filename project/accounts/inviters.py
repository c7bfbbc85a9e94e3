"""Who may invite somebody to which role, and undo it."""

from dataclasses import dataclass

from project.accounts.errors import RoleRefused
from project.accounts.models import Membership, Tenant, User
from project.accounts.scopes import INVITERS, ROLE_SCOPES, Role


@dataclass(frozen=True, kw_only=True)
class Inviter:
    """A member of the tenant, by a session or a token, or an operator in the admin."""

    user: User
    scopes: frozenset[str] = frozenset()  #: What the session or the token may do.
    is_operator: bool = False

    def refuse_to_give(self, role: str, *, tenant: Tenant) -> None:
        """
        Let nobody give more than they have.

        :raises RoleRefused: if the role may do what the token may not, or is not theirs to give.
        """
        if self.is_operator:
            if role != Role.MEMBER and not self.user.is_superuser:
                raise RoleRefused("Only a superuser can invite admins and owners here.")
            return
        if missing := ROLE_SCOPES[role] - self.scopes:
            raise RoleRefused(f"A token can't give what it has not: {', '.join(sorted(missing))}.")
        if not self._is_member(tenant, INVITERS[role]):
            raise RoleRefused(_only(INVITERS[role], f"invite somebody as {role}"))

    def refuse_to_undo(self, role: str, *, tenant: Tenant) -> None:
        """:raises RoleRefused: if it is an owner's invitation and they are no owner."""
        if role != Role.OWNER or (self.is_operator and self.user.is_superuser):
            return
        if not self._is_member(tenant, INVITERS[role]):
            raise RoleRefused(_only(INVITERS[role], "undo the invitation of an owner"))

    def _is_member(self, tenant: Tenant, roles: frozenset[str]) -> bool:
        mine = Membership.objects.filter(tenant=tenant, user=self.user, role__in=roles)
        return mine.exists()


def _only(roles: frozenset[str], what: str) -> str:
    names = " or ".join(role for role in Role.values if role in roles)
    return f"Only an {names} of the tenant can {what}."

"""The admin's pages for people, tenants, invitations and tokens."""

from project.accounts.admin.invitations import InvitationAdmin
from project.accounts.admin.tenants import MembershipAdmin, TenantAdmin
from project.accounts.admin.tokens import ApiTokenAdmin
from project.accounts.admin.users import GroupAdmin, UserAdmin

__all__ = [
    "ApiTokenAdmin",
    "GroupAdmin",
    "InvitationAdmin",
    "MembershipAdmin",
    "TenantAdmin",
    "UserAdmin",
]

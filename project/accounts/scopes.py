"""What a role may do and a token may be allowed, as one table."""

from django.db import models


class Role(models.TextChoices):
    OWNER = "owner", "Owner"
    ADMIN = "admin", "Admin"
    MEMBER = "member", "Member"


class Scope(models.TextChoices):
    EXPORTS_READ = "exports:read", "See exports and download their files"
    EXPORTS_WRITE = "exports:write", "Request and cancel exports"
    INVITATIONS_READ = "invitations:read", "See invitations"
    INVITATIONS_WRITE = "invitations:write", "Invite people, revoke and resend invitations"
    JOBS_READ = "jobs:read", "See jobs and their attempts"
    JOBS_WRITE = "jobs:write", "Cancel and retry jobs"
    NOTIFICATIONS_READ = "notifications:read", "See mails and their status"
    NOTIFICATIONS_WRITE = "notifications:write", "Send mails"
    WEBHOOKS_READ = "webhooks:read", "See webhook endpoints and deliveries"
    WEBHOOKS_WRITE = "webhooks:write", "Change webhook endpoints, send and resend deliveries"
    WORKFLOWS_READ = "workflows:read", "See workflows and their steps"
    WORKFLOWS_WRITE = "workflows:write", "Start, cancel and restart workflows, send steps"


MEMBER_SCOPES = frozenset(
    {Scope.EXPORTS_READ, Scope.EXPORTS_WRITE, Scope.JOBS_READ, Scope.WORKFLOWS_READ}
)

#: A token never has more than this either: its scopes are cut down to its owner's role.
ROLE_SCOPES: dict[str, frozenset[str]] = {
    Role.OWNER: frozenset(Scope.values),
    Role.ADMIN: frozenset(Scope.values),
    Role.MEMBER: frozenset(scope.value for scope in MEMBER_SCOPES),
}

#: By the role that somebody is invited to: the roles of those who may do so.
INVITERS: dict[str, frozenset[str]] = {
    Role.OWNER: frozenset({Role.OWNER}),
    Role.ADMIN: frozenset({Role.OWNER, Role.ADMIN}),
    Role.MEMBER: frozenset({Role.OWNER, Role.ADMIN}),
}

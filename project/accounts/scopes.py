"""What a role may do and a token may be allowed, as one table."""

from django.db import models


class Role(models.TextChoices):
    OWNER = "owner", "Owner"
    ADMIN = "admin", "Admin"
    MEMBER = "member", "Member"


class Scope(models.TextChoices):
    EXPORTS_READ = "exports:read", "See exports and download their files"
    EXPORTS_WRITE = "exports:write", "Request and cancel exports"
    JOBS_READ = "jobs:read", "See jobs and their attempts"
    JOBS_WRITE = "jobs:write", "Cancel and retry jobs"


MEMBER_SCOPES = frozenset({Scope.EXPORTS_READ, Scope.EXPORTS_WRITE, Scope.JOBS_READ})

#: A token never has more than this either: its scopes are cut down to its owner's role.
ROLE_SCOPES: dict[str, frozenset[str]] = {
    Role.OWNER: frozenset(Scope.values),
    Role.ADMIN: frozenset(Scope.values),
    Role.MEMBER: frozenset(scope.value for scope in MEMBER_SCOPES),
}

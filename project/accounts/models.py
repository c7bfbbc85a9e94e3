"""Who asks, for which tenant, and by which credential."""

from datetime import datetime
from typing import Any, Self

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from jobs.ids import new_id
from project.accounts.fields import EmailAddressField
from project.accounts.scopes import INVITERS, Role
from project.accounts.states import InvitationStatus


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create a person; without a password they can't sign in by one."""
        if not email:
            raise ValueError("A user needs an e-mail address.")
        user = self.model(email=email, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create a person who may do everything in the admin."""
        return self.create_user(email, password, **fields, is_staff=True, is_superuser=True)


class User(AbstractBaseUser, PermissionsMixin):
    """A person, who signs in with an e-mail address in any case."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    email = EmailAddressField("e-mail address", unique=True)
    name = models.CharField(max_length=200, blank=True)
    is_active = models.BooleanField(
        "active", default=True, help_text="Switch off to lock the person out; keeps the history."
    )
    is_staff = models.BooleanField("staff", default=False, help_text="May enter the admin.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(email=Lower("email")), name="accounts_user_email_is_lower_case"
            )
        ]

    def __str__(self) -> str:
        return str(self.email)

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.name.partition(" ")[0] or self.email


class Tenant(models.Model):
    """A customer: the owner of rows that no other tenant may see."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=200)
    slug = models.SlugField(max_length=100, unique=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    members = models.ManyToManyField(
        settings.AUTH_USER_MODEL, through="Membership", related_name="tenants"
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """One person's place in one tenant. Deleting it takes the access away at once."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships", db_index=False
    )  # The unique constraint's index starts with it.
    role = models.CharField(max_length=20, choices=Role.choices, default=Role.MEMBER)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "tenant"], name="accounts_one_membership_per_user_and_tenant"
            )
        ]

    def __str__(self) -> str:
        return f"{self.user}, {self.get_role_display()} of {self.tenant}"


class Session(AbstractBaseSession):
    """A browser's session, with the person and the tenant it works for as columns."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="sessions"
    )
    active_tenant = models.ForeignKey(Tenant, models.SET_NULL, null=True, related_name="+")

    @classmethod
    def get_session_store_class(cls) -> type[SessionStore]:
        from project.accounts.sessions import SessionStore as Store

        return Store


class ApiToken(models.Model):
    """A credential for programs. Only a hash of its secret is stored."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="api_tokens")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, help_text="Where the token is used.")
    prefix = models.CharField(max_length=12, unique=True, editable=False)
    secret_sha256 = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True, editable=False)  #: To the minute.
    revoked_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        verbose_name = "API token"
        permissions = [("revoke_apitoken", "Can revoke API token")]

    def __str__(self) -> str:
        return f"{self.name} (off_{self.prefix}_…)"

    def is_live(self, *, now: datetime) -> bool:
        return self.revoked_at is None and now < self.expires_at


class InvitationQuerySet(models.QuerySet["Invitation"]):
    """Invitations that are ..."""

    def open(self) -> Self:
        """Neither accepted nor revoked; one that has expired can still be sent again."""
        return self.filter(accepted_at=None, revoked_at=None)

    def pending(self, *, now: datetime) -> Self:
        return self.open().filter(expires_at__gt=now)

    def acceptable(self, *, now: datetime) -> Self:
        """Pending, and by somebody who may still invite to this role today."""
        return self.pending(now=now).filter(_is_vouched_for())

    def in_status(self, status: str, *, now: datetime) -> Self:
        """As `Invitation.status` says it of one."""
        return {
            InvitationStatus.PENDING: self.pending(now=now),
            InvitationStatus.ACCEPTED: self.exclude(accepted_at=None),
            InvitationStatus.REVOKED: self.filter(accepted_at=None).exclude(revoked_at=None),
            InvitationStatus.EXPIRED: self.open().filter(expires_at__lte=now),
        }[InvitationStatus(status)]


def _is_vouched_for() -> models.Q:
    """By an operator, or by somebody who may invite to the role at this moment."""
    inviter = Membership.objects.filter(
        tenant=models.OuterRef("tenant"), user=models.OuterRef("invited_by"), user__is_active=True
    )
    vouched = models.Q(by_operator=True)
    for role, inviters in INVITERS.items():
        vouched |= models.Q(models.Exists(inviter.filter(role__in=inviters)), role=role)
    return vouched


class Invitation(models.Model):
    """
    An e-mail address that was asked to join a tenant, by a token that works once.

    Only `project.accounts.invitations` writes it. The token itself is in the mail and nowhere else.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    tenant = models.ForeignKey(
        Tenant, models.CASCADE, related_name="invitations", db_index=False
    )  # The index of the list starts with it.
    email = EmailAddressField("e-mail address")
    role = models.CharField(max_length=20, choices=Role.choices, default=Role.MEMBER)
    token_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, editable=False, related_name="+"
    )
    by_operator = models.BooleanField(default=False, editable=False)  #: Of the product: stays good.
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    sent_at = models.DateTimeField(null=True, editable=False)  #: When its last mail was stored.
    #: That mail's id. No foreign key: mails are deleted in batches, which nothing may point to.
    mail_id = models.UUIDField(null=True, editable=False)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, editable=False)
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, editable=False, related_name="+"
    )
    revoked_at = models.DateTimeField(null=True, editable=False)

    objects = InvitationQuerySet.as_manager()

    class Meta:
        default_permissions = ("add", "view")
        permissions = [
            ("resend_invitation", "Can send invitations again"),
            ("revoke_invitation", "Can revoke invitations"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "email"],
                condition=models.Q(accepted_at=None, revoked_at=None),
                name="accounts_one_open_invitation_per_tenant_and_address",
            )
        ]
        indexes = [
            # The API's and the admin's list of one tenant, newest first.
            models.Index(fields=["tenant", "id"], name="accounts_invitations_by_tenant"),
            # When an address was last sent one, whatever became of it.
            models.Index(fields=["tenant", "email"], name="accounts_invitations_by_email"),
            # The nightly clean-up: those that nobody can accept any more ...
            models.Index(
                fields=["expires_at"],
                condition=models.Q(accepted_at=None, revoked_at=None),
                name="accounts_open_invitations",
            ),
            # ... and those that nobody was to accept.
            models.Index(
                fields=["revoked_at"],
                condition=models.Q(revoked_at__isnull=False),
                name="accounts_revoked_invitations",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.email} to {self.tenant}"

    def status(self, *, now: datetime) -> InvitationStatus:
        if self.accepted_at is not None:
            return InvitationStatus.ACCEPTED
        if self.revoked_at is not None:
            return InvitationStatus.REVOKED
        return InvitationStatus.PENDING if now < self.expires_at else InvitationStatus.EXPIRED

"""A mail, stored before anything is sent."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now, Upper

from jobs.ids import new_id
from notifications.fields import EncryptedTextField
from notifications.states import NotificationStatus


class Notification(models.Model):
    """
    One mail to one address. Only `notifications.operations.mails` writes it.

    Its id makes the mail's Message-ID, the same on every attempt.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    #: NULL: the system's own.
    tenant = models.ForeignKey(
        "accounts.Tenant", models.CASCADE, null=True, related_name="+", db_index=False
    )
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    #: The newest: one that is sent again has a new one. NULL once jobs of its age are deleted.
    job = models.OneToOneField("jobs.Job", models.SET_NULL, null=True, related_name="+")
    email = models.CharField("e-mail address", max_length=254)
    subject = models.CharField(max_length=200)
    #: Encrypted: a mail may carry a link that works like a password.
    html = EncryptedTextField()

    status = models.CharField(
        max_length=10, choices=NotificationStatus.choices, default=NotificationStatus.QUEUED
    )
    #: Executions of its newest job that ended in an error or a success, once it has settled.
    attempts = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True, help_text="Why it failed, in one line.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ("view",)
        permissions = [
            ("resend_notification", "Can send mails again"),
            ("cancel_notification", "Can cancel mails"),
        ]
        indexes = [
            # The API's and the admin's list of one tenant, newest first.
            models.Index(fields=["tenant", "id"], name="notifications_by_tenant"),
            # Mails to an address however it is written, newest first: what `iexact` asks for.
            models.Index(Upper("email"), "id", name="notifications_by_address"),
            # Retention: those that settled first.
            models.Index(
                fields=["settled_at"],
                condition=models.Q(settled_at__isnull=False),
                name="notifications_settled_by_age",
            ),
        ]

    def __str__(self) -> str:
        return f"mail {self.pk} to {self.email}"

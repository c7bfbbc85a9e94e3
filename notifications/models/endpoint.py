"""Where a tenant wants to be told of what happened."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from jobs.ids import new_id
from notifications.fields import EncryptedTextField


class WebhookEndpoint(models.Model):
    """
    A URL of a tenant's that deliveries are posted to, signed with its secret.

    Only `notifications.operations.endpoints` writes it; the columns of its breaker are written by
    `notifications.operations.breaker` alone.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    tenant = models.ForeignKey("accounts.Tenant", models.CASCADE, related_name="+", db_index=False)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    url = models.CharField("URL", max_length=2000)
    description = models.CharField(max_length=200, blank=True)
    #: Names of event types; "*" is every one.
    event_types = models.JSONField(default=list)
    secret = EncryptedTextField()
    #: Signs beside the new one until then, so that a receiver can change it at its leisure.
    previous_secret = EncryptedTextField(null=True)
    previous_secret_until = models.DateTimeField(null=True)

    enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    #: When the first attempt since the last success failed.
    failing_since = models.DateTimeField(null=True)
    #: The breaker. Attempts that failed since the last success.
    failures_in_a_row = models.PositiveIntegerField(default=0)
    #: Times that it has opened since the last success: each stays open twice as long.
    openings = models.PositiveSmallIntegerField(default=0)
    #: Open until then. NULL: closed. In the past: half open, one delivery may try.
    open_until = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ("add", "change", "delete", "view")
        permissions = [
            ("test_webhookendpoint", "Can send a test to webhook endpoints"),
            ("rotate_webhookendpoint", "Can give webhook endpoints a new secret"),
            ("enable_webhookendpoint", "Can enable and disable webhook endpoints"),
        ]
        indexes = [
            # Which endpoints of a tenant are told of an event, and the API's list.
            models.Index(fields=["tenant", "id"], name="notifications_endpoints"),
        ]

    def __str__(self) -> str:
        return self.description or f"webhook endpoint {self.pk}"

"""What is delivered to a webhook endpoint, and every attempt to."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from jobs.ids import new_id
from notifications.models.endpoint import WebhookEndpoint
from notifications.states import DeliveryStatus


class WebhookDelivery(models.Model):
    """
    One message to one endpoint. Its id is the `webhook-id`, the same on every attempt.

    Only `notifications.operations.deliveries` writes it.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    tenant = models.ForeignKey("accounts.Tenant", models.CASCADE, related_name="+", db_index=False)
    endpoint = models.ForeignKey(
        WebhookEndpoint, models.CASCADE, related_name="deliveries", db_index=False
    )
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    #: The newest: one that is sent again has a new one. NULL once jobs of its age are deleted.
    job = models.OneToOneField("jobs.Job", models.SET_NULL, null=True, related_name="+")
    event_type = models.CharField(max_length=100)
    body = models.TextField(help_text="The JSON that is signed and sent, to the byte.")

    status = models.CharField(
        max_length=10, choices=DeliveryStatus.choices, default=DeliveryStatus.QUEUED
    )
    #: Over all its jobs: the number of the newest attempt.
    attempts_started = models.PositiveIntegerField(default=0)
    #: Executions of its newest job that ended in an error or a success, once it has settled.
    attempts = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True, help_text="Why it failed, in one line.")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ("view",)
        verbose_name_plural = "webhook deliveries"
        permissions = [
            ("resend_webhookdelivery", "Can send webhook deliveries again"),
            ("resend_matching_webhookdelivery", "Can send all deliveries again that match"),
            ("cancel_webhookdelivery", "Can cancel webhook deliveries"),
        ]
        indexes = [
            # The API's and the admin's list of one tenant, newest first.
            models.Index(fields=["tenant", "id"], name="notifications_deliveries"),
            # An endpoint's deliveries, and those of a status that are sent again.
            models.Index(fields=["endpoint", "status", "id"], name="notifications_by_endpoint"),
            # Retention: those that settled first.
            models.Index(
                fields=["settled_at"],
                condition=models.Q(settled_at__isnull=False),
                name="notifications_deliv_by_age",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.pk}"


class DeliveryAttempt(models.Model):
    """One POST. Without an answer and an error it was cut: its process ended in the middle."""

    # No index of its own: the constraint below begins with it.
    delivery = models.ForeignKey(
        WebhookDelivery, models.CASCADE, related_name="history", db_index=False
    )
    number = models.PositiveIntegerField()
    job_id = models.UUIDField()
    started_at = models.DateTimeField(db_default=Now())
    status_code = models.PositiveSmallIntegerField(null=True)
    latency_ms = models.PositiveIntegerField("latency (ms)", null=True)
    error = models.TextField(blank=True)
    excerpt = models.TextField("answer", blank=True, help_text="How the answer began.")

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["delivery", "number"], name="notifications_one_row_per_attempt"
            ),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} of {self.delivery_id}"

"""What was told to people, and whether it reached them."""

from django.db import models
from django.db.models.functions import Now

from jobs.ids import new_id
from jobs.models.dead_letter import Incident
from jobs.states import AlertKind, Channel, DeliveryState


class Alert(models.Model):
    """One message to the people on call; `deliveries` say where it went."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    incident = models.ForeignKey(Incident, models.CASCADE, related_name="alerts")
    kind = models.CharField(max_length=20, choices=AlertKind.choices)
    severity = models.CharField(max_length=10, default="error")
    message = models.CharField(max_length=500)
    data = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.message


class AlertDelivery(models.Model):
    """An alert on its way through one channel."""

    alert = models.ForeignKey(Alert, models.CASCADE, related_name="deliveries")
    channel = models.CharField(max_length=10, choices=Channel.choices)
    state = models.CharField(
        max_length=12, choices=DeliveryState.choices, default=DeliveryState.PENDING
    )
    #: Of the job that sends it; its attempts tell what went wrong.
    job_id = models.UUIDField(null=True)
    delivered_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True)

    class Meta:
        default_permissions = ("view",)
        verbose_name_plural = "alert deliveries"
        constraints = [
            models.UniqueConstraint(
                fields=["alert", "channel"], name="jobs_one_delivery_per_alert_and_channel"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.alert_id} by {self.channel}"

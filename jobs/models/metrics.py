"""Events as they were recorded, and how many there were of each a day."""

import uuid

from django.db import models
from django.db.models.functions import Now

from jobs.states import SYSTEM_TENANT


class Event(models.Model):
    """Something that happened: a sign-in, an export. Written with what it tells of."""

    tenant_id = models.UUIDField(default=uuid.UUID(SYSTEM_TENANT))
    name = models.CharField(max_length=100, help_text="<noun>.<past tense>: export.completed")
    occurred_at = models.DateTimeField(db_default=Now())
    #: When the row was written; it is seen by others only when its transaction commits.
    recorded_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        default_permissions = ("view",)
        indexes = [
            # The aggregate: what was recorded since the watermark.
            models.Index(fields=["recorded_at"], name="jobs_events_by_recording"),
            # The aggregate: the events of one tenant, name and day.
            models.Index(fields=["tenant_id", "name", "occurred_at"], name="jobs_events_by_day"),
            # Retention: the oldest.
            models.Index(fields=["occurred_at"], name="jobs_events_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.name} at {self.occurred_at}"


class DailyMetric(models.Model):
    """How many events of one name a tenant had on one day (UTC). Only the aggregate writes it."""

    tenant_id = models.UUIDField()
    name = models.CharField(max_length=100)
    day = models.DateField()
    count = models.PositiveBigIntegerField()
    counted_at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["tenant_id", "name", "day"], name="jobs_one_metric_per_tenant_name_and_day"
            )
        ]
        indexes = [
            # The admin's list and chart: the newest days.
            models.Index(fields=["-day", "name"], name="jobs_metrics_by_day")
        ]

    def __str__(self) -> str:
        return f"{self.name} on {self.day}"


class MetricsState(models.Model):
    """One row: how far the aggregate has read. Its lock lets one aggregate work at a time."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    watermark = models.DateTimeField(null=True, help_text="Read up to this `recorded_at`.")
    closed_before = models.DateField(
        null=True, help_text="Events of earlier days may be deleted: their counts stand."
    )

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"read up to {self.watermark}"

"""What each look at the installation's health has found."""

from django.db import models


class HealthCheck(models.Model):
    """One check of `doctor`, as `health_check` made it: found what, and how long it took."""

    at = models.DateTimeField(help_text="When the whole look began: the same for all its checks.")
    name = models.CharField(max_length=60)
    status = models.CharField(max_length=10)
    found = models.TextField(blank=True)
    latency_ms = models.FloatField(help_text="How long the check took, in milliseconds.")

    class Meta:
        default_permissions = ("view",)
        indexes = [
            # The last state of a check, and its history.
            models.Index(fields=["name", "-at"], name="jobs_health_by_check"),
            # Retention: the oldest.
            models.Index(fields=["at"], name="jobs_health_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.name} is {self.status}"

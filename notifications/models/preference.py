"""Which events a person wants to be mailed about."""

from django.conf import settings
from django.db import models


class MailPreference(models.Model):
    """A person's answer for one event type; without a row they want the mail."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", db_index=False
    )
    event_type = models.CharField(max_length=100)
    wanted = models.BooleanField()

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["user", "event_type"], name="notifications_one_answer_per_event"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event_type}: {'yes' if self.wanted else 'no'}"

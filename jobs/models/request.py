"""The answers that idempotent requests were given."""

from django.db import models
from django.db.models.functions import Now


class IdempotentRequest(models.Model):
    """The answer that an `Idempotency-Key` was given, kept for a day."""

    tenant_id = models.UUIDField()
    key = models.CharField(max_length=200)
    body_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    answer = models.JSONField(null=True)
    location = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(
                fields=["tenant_id", "key"], name="jobs_one_answer_per_idempotency_key"
            ),
        ]

    def __str__(self) -> str:
        return self.key

"""Partitions whose jobs wait for a reason that is not their own."""

from django.db import models


class PartitionHold(models.Model):
    """The relay takes no job of this partition until then: what it needs is known to be down."""

    partition = models.CharField(max_length=200, primary_key=True)
    until = models.DateTimeField()
    reason = models.CharField(max_length=200, blank=True)

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.partition} until {self.until}"

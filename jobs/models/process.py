"""The daemons that have shown a sign of life."""

from datetime import timedelta

from django.db import models
from django.db.models.functions import Now


class ProcessQuerySet(models.QuerySet["Process"]):
    def living(self, kind: str, *, within: timedelta = timedelta(seconds=30)) -> "ProcessQuerySet":
        """Return the daemons of one kind that have shown a sign of life lately."""
        return self.filter(kind=kind, seen_at__gte=Now() - within)


class Process(models.Model):
    """A daemon that has shown a sign of life, and when."""

    name = models.CharField(max_length=200, primary_key=True)
    kind = models.CharField(max_length=20)
    seen_at = models.DateTimeField()
    #: A relay: when it last found less than a batch to send. How far it lags is counted from here.
    caught_up_at = models.DateTimeField(null=True)

    objects = ProcessQuerySet.as_manager()

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["kind", "seen_at"], name="jobs_processes_by_last_sign")]

    def __str__(self) -> str:
        return self.name

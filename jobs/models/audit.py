"""What people did to dead letters."""

from django.db import models
from django.db.models.functions import Now

from jobs.ids import new_id


class AuditEntry(models.Model):
    """One action of a person: who, when, what, to which row. Written with the action itself."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    at = models.DateTimeField(db_default=Now())
    actor = models.CharField(max_length=200, help_text="An e-mail address, or a command's user.")
    action = models.CharField(max_length=60, help_text="dead_letter.replayed, …")
    subject = models.CharField(max_length=200, help_text="The row it was done to.")
    detail = models.JSONField(default=dict)

    class Meta:
        default_permissions = ("view",)
        verbose_name_plural = "audit entries"
        indexes = [models.Index(fields=["subject"], name="jobs_audit_by_subject")]

    def __str__(self) -> str:
        return f"{self.action} {self.subject}"

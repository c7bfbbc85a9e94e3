"""Exports: who asked for which rows, how far it is, and what the file turned out to be."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from exports.states import LIVE, ExportStatus
from jobs.ids import new_id


class Export(models.Model):
    """
    One file that was asked for.

    Its status is written in the transaction that moves its job, so the two can't disagree.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # The index below starts with it.
    tenant = models.ForeignKey(
        "accounts.Tenant", models.CASCADE, related_name="exports", db_index=False
    )
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+"
    )
    #: The newest: a retry makes a new one. NULL once jobs of its age are deleted.
    job = models.OneToOneField("jobs.Job", models.SET_NULL, null=True, related_name="+")
    #: The newest, of one that is written in parts; then there is no job.
    workflow = models.OneToOneField("jobs.Workflow", models.SET_NULL, null=True, related_name="+")
    dataset = models.CharField(max_length=100)
    format = models.CharField(max_length=20)

    status = models.CharField(
        max_length=10, choices=ExportStatus.choices, default=ExportStatus.QUEUED
    )
    #: Attempts to write the file, over all its jobs: the number of the newest part.
    parts_started = models.PositiveIntegerField(default=0)
    rows_done = models.PositiveBigIntegerField(default=0)
    rows_total = models.PositiveBigIntegerField(null=True, help_text="Counted when it began.")
    #: Executions of its newest job that ended in an error or a success, once it has settled.
    attempts = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True, help_text="Why it failed, in one line.")

    row_count = models.PositiveBigIntegerField(null=True)
    size_bytes = models.PositiveBigIntegerField(null=True)
    sha256 = models.CharField(max_length=64, blank=True)
    #: Of the manifest of a file that was written in parts: it outlives the workflow.
    manifest_sha256 = models.CharField(max_length=64, blank=True, default="", db_default="")

    created_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at = models.DateTimeField(null=True, help_text="When its newest attempt began.")
    settled_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ("view",)
        permissions = [
            ("request_export", "Can request exports for any tenant"),
            ("retry_export", "Can run exports again"),
            ("cancel_export", "Can cancel exports"),
            ("download_export", "Can download the files of any tenant"),
        ]
        indexes = [
            # The API's list: one tenant's exports, newest first.
            models.Index(fields=["tenant", "id"], name="exports_by_tenant"),
        ]

    def __str__(self) -> str:
        return f"{self.filename} {self.pk}"

    @property
    def key(self) -> str:
        """Where the file is in the object store."""
        return f"exports/{self.tenant_id}/{self.pk}.{self.format}"

    @property
    def filename(self) -> str:
        """What the file is called when it is downloaded."""
        return f"{self.dataset}.{self.format}"

    @property
    def is_live(self) -> bool:
        return self.status in LIVE

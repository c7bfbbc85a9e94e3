"""The life of an export, as the people who asked for it see it."""

from django.db import models


class ExportStatus(models.TextChoices):
    QUEUED = "queued", "Queued"  #: No worker has begun.
    PROCESSING = "processing", "Processing"  #: Begun; also while it waits for its next attempt.
    COMPLETED = "completed", "Completed"  #: The file is there.
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


LIVE = (ExportStatus.QUEUED, ExportStatus.PROCESSING)

"""What a feature's own row says of the job that ended for it."""

from collections.abc import Mapping
from typing import Any

from django.db.models.functions import Now

from jobs.models import Job
from jobs.states import JobState


def outcome_of(job: Job, statuses: Mapping[JobState, str]) -> dict[str, Any]:
    """Return the columns `status`, `error`, `attempts`, `settled_at`, in the feature's words."""
    return {
        "status": statuses[JobState(job.state)],
        "error": job.error if job.state != JobState.SUCCEEDED else "",
        "attempts": job.attempts,
        "settled_at": Now(),
    }

"""Archives projects that nobody has touched for long."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from jobs.upkeep import log_events
from jobs.upkeep.batches import act_in_batches
from project.workspace.models import Item, Project

BATCH_PROJECTS = 1_000


def archive_projects(*, now: datetime) -> int:
    """
    Mark projects as archived that were not touched, nor an item of theirs, for
    WORKSPACE_ARCHIVE_AFTER_DAYS; return how many. Nothing is deleted, and `updated_at` stays.
    """
    before = now - timedelta(days=settings.WORKSPACE_ARCHIVE_AFTER_DAYS)

    def archive(projects: QuerySet[Project]) -> None:
        projects.update(archived_at=now)

    rows = act_in_batches(_untouched_since(before), archive, by="updated_at", size=BATCH_PROJECTS)
    log_events.archived("projects", rows, before=before)
    return rows


def archive_project(project: Project) -> None:
    """Mark one project as archived; `updated_at` stays, and a first mark is kept."""
    live = Project.objects.filter(pk=project.pk, archived_at=None)
    live.update(archived_at=timezone.now())


def _untouched_since(before: datetime) -> QuerySet[Project]:
    """
    Return live projects that are left alone since that moment.

    An item that is touched at the very moment in which its project is archived loses: its row is
    not locked. That hides nothing, and whoever saves the project with no archive date undoes it.
    """
    touched = Item.objects.filter(project=OuterRef("pk"), updated_at__gte=before)
    return Project.objects.filter(~Exists(touched), archived_at=None, updated_at__lt=before)

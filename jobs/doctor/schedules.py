"""Checks of the schedules: that the cron table is there, and nothing of it stands still."""

from django.conf import settings
from django.db.models import Q
from django_celery_beat.models import PeriodicTask

from jobs.doctor.findings import Finding, ok, warning
from jobs.models import ScheduleCursor, ScheduleSeed

SYNC = "manage.py sync_schedules"


def are_as_declared() -> Finding:
    """A row that an operator has deleted or disabled is no fault; one that beat disabled is."""
    synced = set(ScheduleSeed.objects.values_list("name", flat=True))
    missing = [row.name for row in settings.JOBS_SCHEDULES if row.name not in synced]
    if missing:
        return warning(f"never written: {', '.join(missing)}", SYNC)
    broken = ScheduleCursor.objects.filter(~Q(disabled_reason=""), schedule__enabled=False)
    for cursor in broken.select_related("schedule")[:1]:
        found = f"{broken.count()} disabled: {cursor.schedule.name}: {cursor.disabled_reason}"
        return warning(found, "Mend it in the admin, and enable it")
    return ok(f"{PeriodicTask.objects.filter(enabled=True).count()} enabled")

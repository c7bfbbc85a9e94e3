"""The history of health checks: a row for each check of each look, all with the look's time."""

from collections.abc import Mapping
from datetime import datetime

from django.db.models import Max, Min, QuerySet

from jobs.doctor import Finding, Status
from jobs.models import HealthCheck


def store(findings: Mapping[str, Finding], *, at: datetime) -> None:
    HealthCheck.objects.bulk_create(
        HealthCheck(
            at=at,
            name=name,
            status=finding.status,
            found=finding.found,
            latency_ms=finding.latency_ms,
        )
        for name, finding in findings.items()
    )


def newest_look() -> QuerySet[HealthCheck]:
    """Return the rows of the newest look: the present state of each check."""
    newest = HealthCheck.objects.aggregate(at=Max("at"))["at"]
    return HealthCheck.objects.filter(at=newest).order_by("id")


def status_before(name: str, at: datetime) -> Status:
    """Return what a check's newest look before this one found; OK where there was none."""
    earlier = HealthCheck.objects.filter(name=name, at__lt=at)
    status = earlier.order_by("-at").values_list("status", flat=True).first()
    return Status(status or Status.OK)


def failing_since(name: str, at: datetime) -> datetime:
    """Return when the failure began that `at` is the newest look of, or the first after."""
    earlier = HealthCheck.objects.filter(name=name, at__lt=at)
    well = earlier.exclude(status=Status.FAILED).aggregate(at=Max("at"))["at"]
    failing = earlier.filter(at__gt=well) if well else earlier
    began: datetime | None = failing.aggregate(at=Min("at"))["at"]
    return began or at


def is_overtaken(at: datetime) -> bool:
    """Tell whether a look that began later has been stored."""
    return HealthCheck.objects.filter(at__gt=at).exists()

"""
Tells tenants of their dead letters: the first of a cause at once, then one per interval.

As the event `job.dead_lettered`. Jobs of the lanes that would carry the news are left out, so that
nothing feeds itself.
"""

import uuid
from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from jobs import registry
from jobs.announcements import announce
from jobs.models import DeadLetter, TenantIncident
from jobs.states import SYSTEM_TENANT, DeadLetterState

SILENT_LANES = ("notifications", "alerts")


def nobody_is_told(job: str) -> str:
    """Return SQL for the jobs (of this alias) whose death no tenant is told of."""
    lanes = ", ".join(f"'{lane}'" for lane in SILENT_LANES)
    return f"{job}.queue IN ({lanes}) OR {job}.tenant_id = '{SYSTEM_TENANT}'"


def tell(letter: DeadLetter, *, lane: str) -> None:
    """Tell of a dead letter that is being stored, unless its tenant was told of the same lately."""
    incident, tenant_id = letter.incident, letter.tenant_id
    if incident is None or tenant_id in (None, uuid.UUID(SYSTEM_TENANT)) or lane in SILENT_LANES:
        return
    if letter.state != DeadLetterState.OPEN:
        return  # Somebody has replayed its job already.
    # Losing the race to insert it means that it was told of at this moment.
    row, is_first = TenantIncident.objects.get_or_create(
        incident=incident, tenant_id=tenant_id, defaults={"told_up_to": letter.pk}
    )
    if is_first:
        _announce(letter, count=1)
    else:
        _tell_again(row, letter)


def tell_of_more() -> int:
    """Tell each tenant whose dead letters of a cause have grown in number; return how many."""
    more = _untold(incident=OuterRef("incident"), tenant_id=OuterRef("tenant_id")).filter(
        pk__gt=OuterRef("told_up_to")
    )
    rows = TenantIncident.objects.filter(Exists(more), last_told_at__lt=_before())
    return sum(_tell_of_newest(row) for row in rows)


def _tell_of_newest(row: TenantIncident) -> bool:
    with transaction.atomic():
        letters = _untold(incident=row.incident_id, tenant_id=row.tenant_id)
        newest = letters.order_by("pk").last()
        return newest is not None and _tell_again(row, newest)


def _tell_again(row: TenantIncident, letter: DeadLetter) -> bool:
    """Losing the race for the turn means that another process tells of it at this moment."""
    turn = TenantIncident.objects.filter(
        pk=row.pk,
        told_up_to=row.told_up_to,
        told_up_to__lt=letter.pk,  # One that was committed late: its turn comes with the next.
        last_told_at__lt=_before(),
    )
    if not turn.update(last_told_at=Now(), told_up_to=letter.pk):
        return False
    since = DeadLetter.objects.filter(incident=row.incident_id, tenant_id=row.tenant_id)
    count = since.filter(pk__gt=row.told_up_to, pk__lte=letter.pk).count()
    _announce(letter, count=count)
    return True


def _announce(letter: DeadLetter, *, count: int) -> None:
    job_type = registry.find_type(letter.type)
    told_already = job_type is not None and job_type.tells_of_failure
    announce(
        "job.dead_lettered",
        tenant_id=letter.tenant_id,
        user_id=None if told_already else letter.user_id,
        data={
            "incident_id": str(letter.incident_id),
            "dead_letter_id": str(letter.pk),
            "job_id": str(letter.job_id) if letter.job_id else None,
            "type": letter.type,
            "error": letter.error,
            "attempts": letter.attempts,
            "count": count,
        },
    )


def _untold(**of: object) -> QuerySet[DeadLetter]:
    """Those that wait for somebody: what was replayed or discarded is no news."""
    return DeadLetter.objects.filter(state=DeadLetterState.OPEN, **of)


def _before() -> object:
    return Now() - timedelta(seconds=settings.ALERTS_INTERVAL_SECONDS)

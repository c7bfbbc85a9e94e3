"""What may be read of dead letters and incidents."""

import uuid
from typing import Any

from django.db.models import Count, F, Max, Q, QuerySet
from django.db.models.functions import Coalesce

from jobs.errors import UnknownDeadLetter
from jobs.models import DeadLetter, Incident
from jobs.states import AlertKind, DeadLetterState


def get_dead_letter(dead_letter_id: uuid.UUID) -> DeadLetter:
    """:raises UnknownDeadLetter: if there is none."""
    letter = DeadLetter.objects.select_related("incident").filter(pk=dead_letter_id).first()
    if letter is None:
        raise UnknownDeadLetter(f"There is no dead letter {dead_letter_id}.")
    return letter


def list_incidents() -> QuerySet[Incident]:
    """Return incidents of dead letters with `total`, `open_count`, `tenants`, `last_seen_at`."""
    return with_counts(Incident.objects.filter(kind=AlertKind.DEAD_LETTER))


def newest_incidents(limit: int) -> list[Any]:
    """Return the incidents that were seen last, with their counts."""
    seen: Any = list_incidents()
    return list(seen.order_by("-last_seen_at")[:limit])


def with_counts(incidents: QuerySet[Incident]) -> QuerySet[Incident]:
    return incidents.annotate(
        total=F("past_count") + Count("dead_letters"),
        open_count=Count("dead_letters", filter=Q(dead_letters__state=DeadLetterState.OPEN)),
        tenants=Count("dead_letters__tenant_id", distinct=True),
        last_seen_at=Coalesce(Max("dead_letters__recorded_at"), "last_alert_at", "first_seen_at"),
    )


def count_open() -> int:
    return DeadLetter.objects.filter(state=DeadLetterState.OPEN).count()

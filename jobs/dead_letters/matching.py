"""Which dead letters are meant: the filter that the list, the command and a bulk replay share."""

import uuid
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from jobs.models import DeadLetter
from jobs.states import DeadLetterState


@dataclass(frozen=True, kw_only=True)
class Matching:
    """Conditions that all must hold; what is not said matches everything."""

    state: str = DeadLetterState.OPEN  #: "" matches every state.
    type: str = ""
    queue: str = ""
    reason: str = ""
    error_type: str = ""
    tenant_id: str = ""
    incident_id: str = ""
    fingerprint: str = ""
    older_than_seconds: int | None = None
    younger_than_seconds: int | None = None

    def rows(self, *, at: datetime | None = None) -> QuerySet[DeadLetter]:
        """
        Return the dead letters that match, newest first; ages are those of the time `at`, or now.

        :raises ValueError: naming the id that is no UUID.
        """
        return self.narrow(DeadLetter.objects.all(), at=at).order_by("-id")

    def narrow(
        self, letters: QuerySet[DeadLetter], *, at: datetime | None = None
    ) -> QuerySet[DeadLetter]:
        """
        Return those of these that match.

        :raises ValueError: naming the id that is no UUID.
        """
        named: dict[str, Any] = {
            "state": self.state,
            "type": self.type,
            "queue": self.queue,
            "reason": self.reason,
            "error_type": self.error_type,
            "tenant_id": _uuid("tenant", self.tenant_id),
            "incident_id": _uuid("incident", self.incident_id),
            "incident__fingerprint": self.fingerprint,
        }
        now = at or timezone.now()
        if self.older_than_seconds is not None:
            named["recorded_at__lte"] = now - timedelta(seconds=self.older_than_seconds)
        if self.younger_than_seconds is not None:
            named["recorded_at__gte"] = now - timedelta(seconds=self.younger_than_seconds)
        conditions = {name: value for name, value in named.items() if value}
        return letters.filter(**conditions)

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value not in ("", None)}


def _uuid(what: str, text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if text else None
    except ValueError:
        raise ValueError(f"{what}: {text!r} is no UUID.") from None

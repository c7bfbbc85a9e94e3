"""Records that something happened: `record_event`, the only writer of events."""

import uuid
from datetime import UTC, datetime
from typing import Any

from jobs.errors import EventRefused
from jobs.event_names import check_name
from jobs.models import Event


def record_event(
    name: str, *, tenant_id: uuid.UUID | None = None, occurred_at: datetime | None = None
) -> Event:
    """
    Record an event in the caller's transaction: one INSERT; rolled back, it never happened.

    `name` is `<noun>.<past tense>` ("export.completed"). Without a tenant the event is the
    system's; without a time it happens now, by the database's clock. The aggregate counts it
    under its day (UTC). No loops: jobs of the lanes `notifications` and `alerts` record none.

    :raises EventRefused: if the name, the tenant or the time can't be stored as given.
    """
    given: dict[str, Any] = {}
    if tenant_id is not None:
        given["tenant_id"] = _tenant(tenant_id)
    if occurred_at is not None:
        given["occurred_at"] = _moment(occurred_at)
    event = Event(name=check_name(name), **given)
    event.save(force_insert=True)
    return event


def _tenant(tenant_id: Any) -> uuid.UUID:
    try:
        return tenant_id if isinstance(tenant_id, uuid.UUID) else uuid.UUID(str(tenant_id))
    except ValueError:
        raise EventRefused(f"tenant_id: {tenant_id!r} is no UUID.") from None


def _moment(occurred_at: Any) -> datetime:
    if not isinstance(occurred_at, datetime):
        raise EventRefused(f"occurred_at: {occurred_at!r} is no datetime.")
    if occurred_at.utcoffset() is None:
        raise EventRefused(
            f"occurred_at: {occurred_at} has no time zone; django.utils.timezone.now() has one."
        )
    try:
        return occurred_at.astimezone(UTC)
    except OverflowError:  # PostgreSQL would keep it, and no Python could read it again.
        raise EventRefused(f"occurred_at: {occurred_at} is out of range in UTC.") from None

"""Deletes sessions and invitations that nobody can use any more."""

from datetime import datetime, timedelta

from django.conf import settings

from jobs.upkeep import log_events
from jobs.upkeep.batches import delete_in_batches
from project.accounts.models import Invitation, Session


def delete_expired_sessions(*, now: datetime) -> int:
    """
    Delete sessions that have expired; return how many.

    Losing the race to a request that extends one means that it stays: it has not expired.
    """
    expired = Session.objects.filter(expire_date__lt=now)
    rows = delete_in_batches(expired, by="expire_date")
    log_events.deleted("sessions", rows, before=now)
    return rows


def delete_expired_invitations(*, now: datetime) -> int:
    """
    Delete invitations that ended over ACCOUNTS_INVITATIONS_KEEP_DAYS ago; return how many.

    They end when they expire or are revoked. One that was accepted stays: it says how a member
    came. Losing the race to whoever accepts one means that it stays, too.
    """
    before = now - timedelta(days=settings.ACCOUNTS_INVITATIONS_KEEP_DAYS)
    expired = Invitation.objects.open().filter(expires_at__lt=before)
    revoked = Invitation.objects.filter(revoked_at__lt=before)
    rows = delete_in_batches(expired, by="expires_at") + delete_in_batches(revoked, by="revoked_at")
    log_events.deleted("invitations", rows, before=before)
    return rows

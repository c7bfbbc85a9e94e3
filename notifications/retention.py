"""Deletes mails and deliveries that have ended long ago."""

from datetime import datetime, timedelta

from django.conf import settings

from jobs.upkeep import log_events
from jobs.upkeep.batches import act_in_batches, delete_in_batches
from notifications.models import Notification, WebhookDelivery

#: Each takes its attempts with it.
BATCH_DELIVERIES = 500


def delete_expired(*, now: datetime) -> int:
    """
    Delete what settled over NOTIFICATIONS_KEEP_DAYS ago; return how many mails and deliveries.

    Losing the race to somebody who sends one again means that it stays: it is on its way.
    """
    before = now - timedelta(days=settings.NOTIFICATIONS_KEEP_DAYS)
    mails = delete_in_batches(Notification.objects.filter(settled_at__lt=before), by="settled_at")
    log_events.deleted("notifications", mails, before=before)
    deliveries = act_in_batches(
        WebhookDelivery.objects.filter(settled_at__lt=before),
        lambda batch: batch.delete(),
        by="settled_at",
        size=BATCH_DELIVERIES,
    )
    log_events.deleted("webhook deliveries", deliveries, before=before)
    return mails + deliveries

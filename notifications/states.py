"""The lives of mails and webhook deliveries, as the people who asked for them see them."""

from django.db import models


class NotificationStatus(models.TextChoices):
    QUEUED = "queued", "Queued"  #: No worker has begun.
    PROCESSING = "processing", "Processing"  #: Begun; also while it waits for its next attempt.
    SENT = "sent", "Sent"  #: The mail server has accepted it.
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class DeliveryStatus(models.TextChoices):
    QUEUED = "queued", "Queued"  #: No worker has begun.
    PROCESSING = "processing", "Processing"  #: Begun; also while it waits for its next attempt.
    DELIVERED = "delivered", "Delivered"  #: The receiver has answered 2xx.
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"  #: By hand, or because its endpoint was disabled.


#: What is sent again by hand: the rest is on its way.
SETTLED_DELIVERIES = (
    DeliveryStatus.DELIVERED,
    DeliveryStatus.FAILED,
    DeliveryStatus.CANCELLED,
)
SETTLED_NOTIFICATIONS = (
    NotificationStatus.SENT,
    NotificationStatus.FAILED,
    NotificationStatus.CANCELLED,
)

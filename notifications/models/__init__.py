"""What leaves the house: mails, webhook endpoints and what is delivered to them."""

from notifications.models.delivery import DeliveryAttempt, WebhookDelivery
from notifications.models.endpoint import WebhookEndpoint
from notifications.models.notification import Notification
from notifications.models.preference import MailPreference

__all__ = [
    "DeliveryAttempt",
    "MailPreference",
    "Notification",
    "WebhookDelivery",
    "WebhookEndpoint",
]

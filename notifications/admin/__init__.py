"""The admin's pages for mails, webhook endpoints and what is delivered to them."""

from notifications.admin.deliveries import WebhookDeliveryAdmin
from notifications.admin.endpoints import WebhookEndpointAdmin
from notifications.admin.mails import NotificationAdmin
from notifications.admin.preferences import MailPreferenceAdmin

__all__ = [
    "MailPreferenceAdmin",
    "NotificationAdmin",
    "WebhookDeliveryAdmin",
    "WebhookEndpointAdmin",
]

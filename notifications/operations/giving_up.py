"""Gives an endpoint up that nothing can be delivered to, and tells the person who made it."""

from urllib.parse import urlsplit

from django.conf import settings
from django.template.loader import render_to_string

from notifications import log_events
from notifications.errors import MailRefused
from notifications.events import ENDPOINT_DISABLED, MAIL_TYPES
from notifications.models import WebhookEndpoint
from notifications.operations import mails
from notifications.operations.announcements import find_person
from notifications.operations.endpoints import disable_endpoint
from notifications.operations.preferences import wants_mail


def give_up(endpoint: WebhookEndpoint, reason: str) -> None:
    """
    Disable it, and mail its creator, in the caller's transaction.

    Losing the race means that it is disabled already, and its creator told once. It announces
    nothing: jobs of the lane `notifications` raise no events, so that nothing feeds itself.
    """
    if disable_endpoint(endpoint.pk, reason):
        _tell_creator(endpoint, reason)


def _tell_creator(endpoint: WebhookEndpoint, reason: str) -> None:
    person = find_person(endpoint.created_by_id, endpoint.tenant_id)
    if person is None or not wants_mail(person.pk, ENDPOINT_DISABLED):
        return
    subject = MAIL_TYPES[ENDPOINT_DISABLED]
    try:
        mails.request_mail(
            tenant_id=endpoint.tenant_id,
            user_id=person.pk,
            email=person.email,
            subject=subject,
            html=_text(endpoint, subject, reason),
        )
    except MailRefused as refusal:
        log_events.mail_refused(ENDPOINT_DISABLED, person.pk, str(refusal))


def _text(endpoint: WebhookEndpoint, title: str, reason: str) -> str:
    context = {
        "title": title,
        "endpoint": endpoint,
        "host": urlsplit(endpoint.url).netloc,  # The rest of a URL may hold secrets.
        "reason": reason,
        "url": settings.PUBLIC_URL,
    }
    return render_to_string(f"notifications/mails/{ENDPOINT_DISABLED}.html", context)

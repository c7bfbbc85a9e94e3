"""The one receiver of events: tells the tenant's endpoints and the person who asked."""

import uuid
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.template.loader import render_to_string

from jobs.models import Job
from notifications import log_events
from notifications.errors import MailRefused
from notifications.events import EVENT_TYPES
from notifications.operations import deliveries, mails
from notifications.operations.preferences import wants_mail
from notifications.payloads import EventPayload
from notifications.queries import known_user_id, list_subscribers


def announce(job: Job, event: EventPayload) -> None:
    """
    Store a delivery for each endpoint that subscribes, and a mail for the job's user.

    In the job's one transaction: all of them or none, and once.
    """
    told = _tell_endpoints(job, event)
    mailed = _tell_person(job, event)
    log_events.announced(event.event_type, job.tenant_id, deliveries=told, mails=mailed)


def _tell_endpoints(job: Job, event: EventPayload) -> int:
    endpoints = list_subscribers(job.tenant_id, event.event_type)
    body = deliveries.body_of(event.event_type, event.data, at=event.occurred_at)
    user_id = known_user_id(job.user_id)
    for endpoint in endpoints:
        deliveries.store(endpoint, event_type=event.event_type, body=body, user_id=user_id)
    return len(endpoints)


def _tell_person(job: Job, event: EventPayload) -> int:
    person = find_person(job.user_id, job.tenant_id)
    if person is None or not wants_mail(person.pk, event.event_type):
        return 0
    try:
        mails.request_mail(
            tenant_id=job.tenant_id,
            user_id=person.pk,
            email=person.email,
            subject=EVENT_TYPES[event.event_type],
            html=_text(event),
        )
    except MailRefused as refusal:
        # An address that no mail is sent to must not keep the endpoints from being told.
        log_events.mail_refused(event.event_type, person.pk, str(refusal))
        return 0
    return 1


def find_person(user_id: uuid.UUID | None, tenant_id: uuid.UUID) -> Any:
    """Return the user, unless they are locked out or no longer one of the tenant's."""
    people = get_user_model()._default_manager.filter(is_active=True, tenants=tenant_id)
    return people.filter(pk=user_id).first() if user_id else None


def _text(event: EventPayload) -> str:
    context = {
        "title": EVENT_TYPES[event.event_type],
        "event": event,
        "url": settings.PUBLIC_URL,
    }
    return render_to_string(f"notifications/mails/{event.event_type}.html", context)

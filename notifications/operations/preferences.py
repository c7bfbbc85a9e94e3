"""Which events a person wants to be mailed about."""

import uuid
from collections.abc import Mapping

from django.db import transaction

from notifications.errors import UnknownEventType
from notifications.events import EVENT_TYPES
from notifications.models import MailPreference


def get_preferences(user_id: uuid.UUID) -> dict[str, bool]:
    """Return every event type of the product, and whether the person wants a mail: yes, if new."""
    answers = MailPreference.objects.filter(user_id=user_id).values_list("event_type", "wanted")
    given = dict(answers)
    return {name: given.get(name, True) for name in EVENT_TYPES}


def wants_mail(user_id: uuid.UUID, event_type: str) -> bool:
    """A type that the product does not know is nobody's preference: no mail."""
    return get_preferences(user_id).get(event_type, False)


def set_preferences(user_id: uuid.UUID, wanted: Mapping[str, bool]) -> dict[str, bool]:
    """
    Store the person's answers for these event types, and return all of them.

    :raises UnknownEventType: if the product announces no such event; then none is stored.
    """
    if unknown := sorted(wanted.keys() - EVENT_TYPES.keys()):
        raise UnknownEventType(unknown[0], EVENT_TYPES)
    with transaction.atomic():
        for event_type, answer in wanted.items():
            MailPreference.objects.update_or_create(
                user_id=user_id, event_type=event_type, defaults={"wanted": answer}
            )
    return get_preferences(user_id)

"""Which mails a person wants."""

import uuid
from collections.abc import Mapping

from django.db import transaction

from notifications.errors import UnknownEventType
from notifications.events import MAIL_TYPES
from notifications.models import MailPreference


def get_preferences(user_id: uuid.UUID) -> dict[str, bool]:
    """Return all that people are mailed about, and whether this one wants it: yes, if new."""
    answers = MailPreference.objects.filter(user_id=user_id).values_list("event_type", "wanted")
    given = dict(answers)
    return {name: given.get(name, True) for name in MAIL_TYPES}


def wants_mail(user_id: uuid.UUID, event_type: str) -> bool:
    """A type that the product does not know is nobody's preference: no mail."""
    return get_preferences(user_id).get(event_type, False)


def set_preferences(user_id: uuid.UUID, wanted: Mapping[str, bool]) -> dict[str, bool]:
    """
    Store the person's answers for these event types, and return all of them.

    :raises UnknownEventType: if nobody is mailed about such a thing; then none is stored.
    """
    if unknown := sorted(wanted.keys() - MAIL_TYPES.keys()):
        raise UnknownEventType(unknown[0], MAIL_TYPES)
    with transaction.atomic():
        for event_type, answer in wanted.items():
            MailPreference.objects.update_or_create(
                user_id=user_id, event_type=event_type, defaults={"wanted": answer}
            )
    return get_preferences(user_id)

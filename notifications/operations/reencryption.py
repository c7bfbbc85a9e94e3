"""Encrypts every secret again with the first key, so that an old key may be taken away."""

import uuid
from collections.abc import Iterator
from typing import Any

from django.db.models import BinaryField, ExpressionWrapper, F, Model

from notifications.encryption import is_current, reencrypt
from notifications.errors import SecretUnreadable
from notifications.models import Notification, WebhookEndpoint

#: Every encrypted column there is.
COLUMNS: tuple[tuple[type[Model], str], ...] = (
    (WebhookEndpoint, "secret"),
    (WebhookEndpoint, "previous_secret"),
    (Notification, "html"),
)

BATCH_ROWS = 500


def reencrypt_all() -> tuple[int, int]:
    """
    Return how many were encrypted again, and how many could not be read with any key.

    Row by row, and harmless when it is cut or run twice: what has the first key is left alone.
    """
    done = unreadable = 0
    for model, column in COLUMNS:
        for pk, token in _tokens(model, column):
            try:
                done += _reencrypt(model, column, pk, token)
            except SecretUnreadable:
                unreadable += 1
    return done, unreadable


def count_unreadable_endpoints() -> int:
    """
    Return how many endpoints have a secret that no key fits: nothing can be sent to them.

    The old secret counts as the new one does: a row is read whole, or not at all.
    """
    unreadable: set[uuid.UUID] = set()
    for column in ("secret", "previous_secret"):
        tokens = _tokens(WebhookEndpoint, column)
        unreadable |= {pk for pk, token in tokens if not _is_readable(token)}
    return len(unreadable)


def _reencrypt(model: type[Model], column: str, pk: uuid.UUID, token: bytes) -> int:
    """Losing the race means that the secret was changed, and with the first key."""
    if is_current(token):
        return 0
    seen = model._default_manager.filter(pk=pk, **{column: token})
    return int(seen.update(**{column: reencrypt(token)}))


def _is_readable(token: bytes) -> bool:
    try:
        reencrypt(token)
    except SecretUnreadable:
        return False
    return True


def _tokens(model: type[Model], column: str) -> Iterator[tuple[Any, bytes]]:
    """Return the encrypted texts as they are stored, which no read of the column itself gives."""
    stored = ExpressionWrapper(F(column), output_field=BinaryField())
    rows = model._default_manager.filter(**{f"{column}__isnull": False}).order_by("pk")
    after = uuid.UUID(int=0)
    while batch := list(rows.filter(pk__gt=after).values_list("pk", stored)[:BATCH_ROWS]):
        yield from ((pk, bytes(token)) for pk, token in batch)
        after = batch[-1][0]

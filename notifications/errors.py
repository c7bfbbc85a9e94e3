"""What can go wrong with what leaves the house, each error saying what to do next."""

import uuid
from collections.abc import Iterable

from jobs.errors import GiveUp, JobError


class NotificationError(Exception):
    """Base of every error in this app that people meet. Catch a subclass, never this."""


class UnknownNotification(NotificationError):
    """There is no such mail, or it belongs to another tenant."""

    def __init__(self, notification_id: uuid.UUID) -> None:
        super().__init__(f"There is no notification {notification_id}.")


class UnknownEndpoint(NotificationError):
    """There is no such endpoint, or it belongs to another tenant."""

    def __init__(self, endpoint_id: uuid.UUID) -> None:
        super().__init__(f"There is no webhook endpoint {endpoint_id}.")


class UnknownDelivery(NotificationError):
    """There is no such delivery, or it belongs to another tenant."""

    def __init__(self, delivery_id: uuid.UUID) -> None:
        super().__init__(f"There is no delivery {delivery_id}.")


class UnknownEventType(NotificationError, ValueError):
    """An event type that can't be: not in the table, and not spelled as one."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(
            f"{name!r} is no event type: write `<noun>.<past tense>` in small letters; the "
            f"product's own are {', '.join(sorted(known))}."
        )


class DescriptionRefused(NotificationError, ValueError):
    """The name of an endpoint that would not be read as it is written; the text says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"description: {reason}")


class EndpointDisabled(NotificationError):
    """Nothing is sent to an endpoint that is disabled; enable it first."""

    def __init__(self, endpoint_id: uuid.UUID, reason: str) -> None:
        super().__init__(f"Webhook endpoint {endpoint_id} is disabled: {reason or 'by hand'}.")


class TooManyEndpoints(NotificationError):
    """A tenant has as many endpoints as it may; delete one first."""

    def __init__(self, most: int) -> None:
        super().__init__(f"A tenant has at most {most} webhook endpoints; delete one first.")


class DataTooLarge(NotificationError, ValueError):
    """What is to be delivered is over the limit. Send an id; the receiver may fetch the rest."""

    def __init__(self, size: int, most: int) -> None:
        super().__init__(f"data: {size} bytes of JSON; at most {most} are delivered. Send an id.")


class DataTooDeep(NotificationError, ValueError):
    """Nobody reads that by hand, and programs that try may break. Send it flatter, or an id."""

    def __init__(self, most: int) -> None:
        super().__init__(f"data: lists and objects lie more than {most} deep in each other.")


class StillUnderWay(NotificationError):
    """It is being sent, or waits for its turn; sent again it would only come twice."""

    def __init__(self, what: str, status: str) -> None:
        super().__init__(f"{what} is {status}; only what has ended is sent again.")


class MailRefused(NotificationError, ValueError):
    """An address, subject or text that no mail may have; `field` says which."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field


class UrlRefused(NotificationError, ValueError):
    """An address that no webhook is sent to; the text says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"url: {reason}")


class SecretUnreadable(NotificationError):
    """What is encrypted was encrypted with none of the keys in SECRETS_KEYS."""

    def __init__(self) -> None:
        super().__init__(
            "An encrypted column can't be read: add the key that it was written with to "
            "SECRETS_KEYS, behind the one that encrypts."
        )


# --- What ends an attempt ------------------------------------------------------------------------


class MailRejected(GiveUp):
    """The mail server said 5xx: no other attempt with this address or text can end differently."""


class DeliveryFailed(JobError):
    """The receiver could not be reached, or did not answer as it should; another attempt may."""


class AddressRefused(GiveUp):
    """The URL can't be read, or holds an address that nothing is sent to; the text says why."""


class NameLedAstray(DeliveryFailed):
    """The host's name leads to an address that nothing is sent to, this time."""


class SecretNotRead(DeliveryFailed):
    """Nothing was sent, for want of a signature: the operator's fault, and not the receiver's."""

    def __init__(self) -> None:
        super().__init__("The endpoint's secret can't be read; the operator has been told.")


class EndpointHopeless(GiveUp):
    """The endpoint has failed for days: it is disabled, and with it the delivery that found so."""


class EndpointGone(GiveUp):
    """The receiver answered 410 Gone: its endpoint is disabled, and this delivery with it."""

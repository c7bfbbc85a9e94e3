"""The events that tenants and people are told of."""

from jobs.errors import EventRefused
from jobs.event_names import NAME_MAX_CHARACTERS, check_name
from notifications.errors import UnknownEventType

#: Every type that the product announces, as people read it.
EVENT_TYPES = {
    "export.completed": "An export is ready to be downloaded",
    "export.failed": "An export has failed",
    "invitation.accepted": "Somebody has accepted an invitation",
    "job.dead_lettered": "A job could not be done",
    "workflow.timed_out": "Something you started was not finished in time",
}

#: Told by mail alone, and announced to no endpoint: so no endpoint's failure feeds another.
ENDPOINT_DISABLED = "endpoint.disabled"

#: All that a person is mailed about, unless they said no.
MAIL_TYPES = EVENT_TYPES | {ENDPOINT_DISABLED: "A webhook endpoint that you made was disabled"}

#: What an endpoint is sent on request, to see whether it works.
TEST_EVENT = "endpoint.tested"

#: Subscribes to every type.
EVERY = "*"


def check_event_type(name: str) -> str:
    """
    Return the name of an event type: the product's, or a tenant's own.

    :raises UnknownEventType: if it is not spelled as one.
    """
    try:
        return check_name(name)
    except EventRefused:
        raise UnknownEventType(name[:NAME_MAX_CHARACTERS], EVENT_TYPES) from None


def check_subscription(names: list[str]) -> list[str]:
    """
    Return what an endpoint may subscribe to: each name once, in order.

    :raises UnknownEventType: if one is neither spelled as a type nor `*`.
    """
    return sorted({name if name == EVERY else check_event_type(name) for name in names})

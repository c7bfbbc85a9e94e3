"""What the messages of this app carry: ids; or, from other programs, all that is to be sent."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, model_validator

from notifications.errors import DataTooDeep

#: Lists and objects inside each other: what shows or reads them may go down level by level.
DATA_DEPTH_MAX = 100


def check_depth(data: dict[str, Any]) -> dict[str, Any]:
    """
    Return what is to be delivered.

    :raises DataTooDeep: if more than DATA_DEPTH_MAX lists and objects lie in each other.
    """
    level: list[Any] = [data]
    for _ in range(DATA_DEPTH_MAX):
        members = (item for each in level for item in _members(each))
        level = [item for item in members if isinstance(item, dict | list | tuple)]
        if not level:
            return data
    raise DataTooDeep(DATA_DEPTH_MAX)


def _members(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value


Data = Annotated[dict[str, Any], AfterValidator(check_depth)]


class MailPayload(BaseModel):
    """The id of a stored mail; or the mail itself, which is stored apart when its job is."""

    notification_id: uuid.UUID | None = None
    email: str | None = None
    subject: str | None = None
    html: str | None = None
    #: Why a whole one could not be stored: its job fails of it.
    refused: str | None = None

    @model_validator(mode="after")
    def says_what_to_send(self) -> Self:
        whole = None not in (self.email, self.subject, self.html)
        if not (self.notification_id or self.refused or whole):
            raise ValueError("give notification_id, or email, subject and html")
        return self


class DeliveryPayload(BaseModel):
    """The id of a stored delivery; without one, what to deliver, which is stored before."""

    endpoint_id: uuid.UUID
    delivery_id: uuid.UUID | None = None
    event_type: str | None = None
    data: Data | None = None

    @model_validator(mode="after")
    def says_what_to_deliver(self) -> Self:
        if self.delivery_id is None and None in (self.event_type, self.data):
            raise ValueError("give delivery_id, or event_type and data")
        return self


class EventPayload(BaseModel):
    event_type: str
    occurred_at: datetime
    data: Data


class ResendPayload(BaseModel):
    """Which deliveries are sent again."""

    endpoint_id: uuid.UUID
    status: str = "failed"
    event_type: str | None = None
    since: datetime | None = None
    until: datetime | None = None

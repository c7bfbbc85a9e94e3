"""What the messages of this app carry: ids; or, from other programs, all that is to be sent."""

import uuid
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, model_validator


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
    data: dict[str, Any] | None = None

    @model_validator(mode="after")
    def says_what_to_deliver(self) -> Self:
        if self.delivery_id is None and None in (self.event_type, self.data):
            raise ValueError("give delivery_id, or event_type and data")
        return self


class EventPayload(BaseModel):
    event_type: str
    occurred_at: datetime
    data: dict[str, Any]


class ResendPayload(BaseModel):
    """Which deliveries are sent again."""

    endpoint_id: uuid.UUID
    status: str = "failed"
    event_type: str | None = None
    since: datetime | None = None
    until: datetime | None = None

"""What the messages of workflows carry: ids."""

import uuid

from pydantic import BaseModel


class StepPayload(BaseModel):
    workflow_id: uuid.UUID
    number: int
    branch: int = 0


class TimerPayload(BaseModel):
    """Which row, and which of its settings, is due: a timer that was set anew is not this one."""

    workflow_id: uuid.UUID
    name: str
    timer_id: int
    setting: int


class StopPayload(BaseModel):
    workflow_id: uuid.UUID

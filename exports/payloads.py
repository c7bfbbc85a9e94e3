"""What the messages of exports carry: ids."""

import uuid

from pydantic import BaseModel


class ExportPayload(BaseModel):
    export_id: uuid.UUID

"""
Dresses a dead message as a call of the alerting task, whose acknowledgement answers the original.

Nothing is published again, and nothing is acknowledged before it is stored.
"""

import json
from typing import Any

from celery.utils import uuid

from jobs.engine import dead_message

#: The alerting task. No job: it is what jobs end in.
RECORD_DEAD_LETTER = "alerts.record_dead_letter"


class DeadCall:
    """A message that says "record this dead letter", and otherwise is the dead one."""

    content_type = "application/json"
    content_encoding = "utf-8"

    def __init__(self, dead: Any) -> None:
        self._dead = dead
        self.payload: Any = [[], {"message": dead_message.as_json(dead)}, {}]
        self.body = json.dumps(self.payload)
        self.properties: dict[str, Any] = {}
        self.headers = {
            "lang": "py",
            "task": RECORD_DEAD_LETTER,
            "id": uuid(),
            "argsrepr": "()",
            "kwargsrepr": f"{{'message': {dead.headers.get('id')!r}}}"[:200],
            "ignore_result": True,
        }

    def __getattr__(self, name: str) -> Any:
        """The delivery's tag, its acknowledgement, its rejection: the original's own."""
        return getattr(self._dead, name)

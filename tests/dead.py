"""Dead messages as the alerting task gets them, for tests in one process."""

import json
from datetime import UTC, datetime
from typing import Any

from kombu import Message

from jobs.engine import message
from jobs.engine.dead_message import DeadMessage, as_json
from jobs.models import Job

#: By the broker's clock, in seconds. One for all: a message that comes again died when it died,
#: and not a second later because the clock went on between two lines of a test.
DIED_AT = datetime.now(UTC).replace(microsecond=0, tzinfo=None)


def death(reason: str, queue: str = "jobs") -> dict[str, Any]:
    """One entry of `x-death`."""
    return {"reason": reason, "queue": queue, "exchange": "jobs", "count": 1, "time": DIED_AT}


def dead_message(
    body: bytes | str,
    headers: dict[str, Any],
    *,
    reason: str = "rejected",
    queue: str = "jobs",
    redelivered: bool = False,
    routing_key: str = "jobs.drills.run_atomic",
    **properties: Any,
) -> DeadMessage:
    """Return a message that died in `queue`: over the wire, as JSON."""
    make: Any = Message  # Its stubs know of no bytes.
    received = make(
        body,
        headers={**headers, "x-death": [death(reason, queue)]} if reason else headers,
        delivery_info={
            "exchange": "jobs.dead",
            "routing_key": routing_key,
            "redelivered": redelivered,
        },
        **{"content_type": "application/json", "content_encoding": "utf-8", **properties},
    )
    return DeadMessage.from_json(json.loads(json.dumps(as_json(received))))


def dead_message_of(job: Job, reason: str = "rejected", **changes: Any) -> DeadMessage:
    """Return the message of a job's present dispatch, dead; `changes` are of its headers."""
    own = message.from_job(job)
    return dead_message(
        own.body, {**own.headers, **changes}, reason=reason, queue=own.queue,
        routing_key=own.routing_key,
    )  # fmt: skip

"""Job types that put what no worker can read into this process's queues, and count the dead."""

from typing import Any

from celery import current_app
from django.conf import settings
from kombu import Producer
from pydantic import BaseModel

from jobs import job_task
from jobs.models import Job
from tests.harness.tasks import add_row

HEADERS = {"lang": "py", "id": "0a20b7f4-e427-4ee9-afc6-14a7a513e979", "task": "tests.do_nothing"}

#: Body, headers, content type.
GARBAGE: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "undecodable": (b"\xff\xfe{", HEADERS, "application/json"),
    "of another shape": (b'{"a": 1}', HEADERS, "application/json"),
    "of an unknown type": (
        b"[[], {}, {}]",
        {**HEADERS, "task": "tests.unknown"},
        "application/json",
    ),
    "without headers": (b"[[], {}, {}]", {}, "application/json"),
    "pickled": (b"[[], {}, {}]", HEADERS, "application/x-python-serialize"),
}


class Nothing(BaseModel):
    pass


@job_task(name="tests.publish_garbage", atomic=False)
def publish_garbage(job: Job, payload: Nothing) -> None:
    with current_app.connection_for_write() as connection:
        producer = Producer(connection.default_channel)
        for body, headers, content_type in GARBAGE.values():
            producer.publish(
                body,
                exchange=settings.CELERY_TASK_DEFAULT_EXCHANGE,
                routing_key="jobs.garbage",
                headers=headers,
                content_type=content_type,
                content_encoding="utf-8",
            )


@job_task(name="tests.take_dead_letters", atomic=False)
def take_dead_letters(job: Job, payload: Nothing) -> None:
    """Empty the dead-letter queue and leave an effect per message, labelled `dead: <its body>`."""
    bodies: list[Any] = []
    with current_app.connection_for_write() as connection:
        queue = settings.JOBS_DEAD_LETTER_QUEUE(connection.default_channel)
        while message := queue.get(no_ack=True):
            bodies.append(message.body)
    with job.succeeding():
        for body in bodies:
            add_row(job, f"dead: {body!r}")

"""A job type that puts what no worker can run into this process's queues."""

from typing import Any

from celery import current_app
from django.conf import settings
from kombu import Producer
from pydantic import BaseModel

from jobs import job_task
from jobs.models import Job

HEADERS = {"lang": "py", "id": "0a20b7f4-e427-4ee9-afc6-14a7a513e979", "task": "tests.do_nothing"}

#: Its type may come with a deploy, for ten minutes.
UNKNOWN = {
    "lang": "py",
    "id": "5b0dc5a6-7a52-4bd1-a3a4-3c4b0dd4c2ae",
    "task": "tests.unknown",
}

#: What is dead at once: body, headers, content type.
GARBAGE: dict[str, tuple[bytes, dict[str, Any], str]] = {
    "undecodable": (b"\xff\xfe{", HEADERS, "application/json"),
    "of another shape": (b'{"a": 1}', HEADERS, "application/json"),
    "without headers": (b"[[], {}, {}]", {}, "application/json"),
    "pickled": (b"[[], {}, {}]", HEADERS, "application/x-python-serialize"),
}


class Nothing(BaseModel):
    pass


@job_task(name="tests.publish_garbage", atomic=False)
def publish_garbage(job: Job, payload: Nothing) -> None:
    with current_app.connection_for_write() as connection:
        producer = Producer(connection.default_channel)
        unknown = (b"[[], {}, {}]", UNKNOWN, "application/json")
        for body, headers, content_type in (*GARBAGE.values(), unknown):
            producer.publish(
                body,
                exchange=settings.CELERY_TASK_DEFAULT_EXCHANGE,
                routing_key="jobs.garbage",
                headers=headers,
                content_type=content_type,
                content_encoding="utf-8",
            )

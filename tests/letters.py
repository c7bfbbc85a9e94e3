"""Dead letters as the alerting task stores them, for tests in one process."""

from typing import Any

from jobs.dead_letters.record import record
from jobs.engine import lifecycle
from jobs.models import DeadLetter
from jobs.states import JobState
from tests.dead import dead_message, dead_message_of
from tests.drills import make_job


def make_letter(error: Exception | None = None, **columns: Any) -> DeadLetter:
    """Store the dead letter of a job that failed with this error."""
    job = make_job(state=JobState.RUNNING, **columns)
    try:
        raise error or RuntimeError("it can't be done")
    except Exception as raised:
        lifecycle.fail(job, raised, message_follows=True)
    letter = record(dead_message_of(job))
    assert letter is not None
    return DeadLetter.objects.get(pk=letter.pk)


def make_unreadable(body: bytes = b"\xff\xfe{", task: str = "tests.garbage") -> DeadLetter:
    """Store a message that no worker could read."""
    letter = record(dead_message(body, {"task": task, "id": "no id"}))
    assert letter is not None
    return DeadLetter.objects.get(pk=letter.pk)

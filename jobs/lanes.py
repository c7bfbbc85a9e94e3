"""Which of Celery's queues are lanes: those that jobs are sent to."""

from django.conf import settings
from kombu import Queue

#: The lane of timers, which fire at their time: ordinary jobs are never in front of them.
TIMERS = "timers"


def lanes() -> tuple[Queue, ...]:
    """Return every queue of CELERY_TASK_QUEUES but the one that holds the dead letters."""
    dead = settings.JOBS_DEAD_LETTER_QUEUE.name
    return tuple(queue for queue in settings.CELERY_TASK_QUEUES if queue.name != dead)


def lane_names() -> list[str]:
    return [queue.name for queue in lanes()]

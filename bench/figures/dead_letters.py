"""How fast are dead letters stored? Ten thousand of one cause, two worker processes."""

from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, Min
from kombu import Connection

from bench.figures.drain import paused, wait_until
from bench.rounds import Figure, Goal
from bench.stage import Stage
from bench.tasks import Number, do_nothing
from jobs import enqueue_many
from jobs.models import Alert, DeadLetter

DEAD_LETTERS = 10_000
#: As many at most lie in the paused worker's connection, where the broker counts none as ready.
SENT_TO_THE_WORKER = 100

#: What is asked for, a second.
WANTED = 300.0

FAIL = """
    UPDATE jobs_job SET state = 'failed', dispatch = 1, attempt = 4, failures = 4,
           error = 'RuntimeError: it is one cause', settled_at = NOW(),
           dead_letter_due_at = NOW()"""
DIE = """
    INSERT INTO jobs_attempt (job_id, attempt, dispatch, outcome, worker, started_at, ended_at,
                              error_type, error_message, place, traceback)
    SELECT id, 4, 1, 'failed', 'bench', NOW(), NOW(), 'RuntimeError', 'it is one cause',
           'bench/tasks.py:do_nothing', 'Traceback …' FROM jobs_job"""


def measure(stage: Stage, rounds: int) -> list[Figure]:
    """Return the rate from the first row to the last; the messages lie in the queue before."""
    with stage.worker() as worker, stage.relay():
        rates = [(WANTED, _store(stage, worker)) for _ in range(rounds)]
    name = f"{DEAD_LETTERS:,} dead letters of one cause, stored by two worker processes"
    return [Figure(name, "what is asked for", "dead letters/s", Goal(1), rates)]


def _store(stage: Stage, worker: Any) -> float:
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE jobs_job, jobs_deadletter, jobs_incident CASCADE")
    with paused(worker):
        enqueue_and_fail()
        wait_until(lambda: ready(stage) >= DEAD_LETTERS - SENT_TO_THE_WORKER)
    wait_until(lambda: DeadLetter.objects.count() >= DEAD_LETTERS)
    if Alert.objects.count() != 1:
        raise RuntimeError(f"{Alert.objects.count()} alerts were raised, and not one.")
    times = DeadLetter.objects.aggregate(first=Min("recorded_at"), last=Max("recorded_at"))
    return float((DEAD_LETTERS - 1) / (times["last"] - times["first"]).total_seconds())


def enqueue_and_fail() -> None:
    """Store jobs that have failed, in one transaction: no relay sees them before they have."""
    with transaction.atomic(), connection.cursor() as cursor:
        enqueue_many(do_nothing, [Number(number=number) for number in range(DEAD_LETTERS)])
        cursor.execute(FAIL)
        cursor.execute(DIE)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE jobs_job, jobs_attempt")


def ready(stage: Stage) -> int:
    with Connection(stage.broker_url) as broker:
        channel: Any = broker.default_channel
        queue = settings.JOBS_DEAD_LETTER_QUEUE.name
        return int(channel.queue_declare(queue, passive=True).message_count)

"""How soon does a job start? From its commit, or from `delay()`, to the task's first line."""

import time
from collections.abc import Callable
from functools import partial
from statistics import median

from django.db import connection, transaction

from bench import plain
from bench.rounds import Figure, Goal, in_turns
from bench.stage import Stage
from bench.tasks import Number, note_start
from jobs import enqueue
from jobs.models import Job

JOBS_AT_IDLE = 50
JOBS_UNDER_LOAD = 200
IDLE_SECONDS = 0.1  #: Between two jobs: all is done and asleep again.
LOAD_SECONDS = 0.02  #: Fifty jobs a second.
PATIENCE_SECONDS = 30

#: Starts one job or task of this number, and returns when the clock began to run.
Start = Callable[[int], float]


def measure(stage: Stage, rounds: int) -> list[Figure]:
    """Return the figures at idle and at fifty jobs a second."""
    with stage.plain_worker("bare"), stage.worker(), stage.relay():
        warm_up = partial(_median_delay, stage, jobs=10, pause=IDLE_SECONDS)
        warm_up(_delay), warm_up(_commit)
        idle = partial(_median_delay, stage, jobs=JOBS_AT_IDLE, pause=IDLE_SECONDS)
        load = partial(_median_delay, stage, jobs=JOBS_UNDER_LOAD, pause=LOAD_SECONDS)
        pairs = [
            in_turns(rounds, partial(each, _delay), partial(each, _commit)) for each in (idle, load)
        ]
    names = ("commit to first line, at idle", "commit to first line, at 50 jobs a second")
    return [
        Figure(name, "a direct delay() with confirms", "ms", Goal(3, most=True), each)
        for name, each in zip(names, pairs, strict=True)
    ]


def _median_delay(stage: Stage, start: Start, *, jobs: int, pause: float) -> float:
    """Return the median of the milliseconds from each start to the first line of its task."""
    stage.ticks.reset()
    begun = {}
    for number in range(jobs):
        woken = time.monotonic()
        begun[number] = start(number)
        time.sleep(max(0.0, woken + pause - time.monotonic()))
    notes = _wait_for_notes(stage, jobs)
    _forget()
    return median(notes[str(number)] - begun[number] for number in begun) * 1000


def _delay(number: int) -> float:
    started = time.time()
    plain.bare.tasks["bare.note_start"].delay(number=number)
    return started


def _commit(number: int) -> float:
    with transaction.atomic():
        enqueue(note_start, Number(number=number))
        return time.time()


def _wait_for_notes(stage: Stage, jobs: int) -> dict[str, float]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(notes := stage.ticks.notes()) < jobs:
        if time.monotonic() > deadline:
            raise TimeoutError(f"Only {len(notes)} of {jobs} tasks began.")
        time.sleep(0.05)
    return notes


def _forget() -> None:
    while Job.objects.live().exists():
        time.sleep(0.05)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE jobs_job CASCADE")

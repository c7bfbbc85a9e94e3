"""How fast are stored jobs worked off? No-op jobs of 100 partitions, two worker processes."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.db import connection
from django.db.models import Max

from bench import plain
from bench.rounds import Figure, Goal, in_turns
from bench.stage import Stage
from bench.tasks import Number, do_nothing
from jobs import enqueue_many
from jobs.models import Job
from jobs.states import JobState
from project.services import Child

JOBS = 4_000
JOBS_WITH_RESULTS = 400
WARM_UP = 200
PATIENCE_SECONDS = 300


def measure(stage: Stage, rounds: int) -> list[Figure]:
    """Return the figures against Celery without and with results; events are on everywhere."""
    with (
        stage.plain_worker("bare") as bare,
        stage.plain_worker("results") as results,
        stage.worker(),
        stage.relay(),
    ):
        measures = (
            partial(_drain_plain, stage, plain.bare, bare),
            partial(_drain_plain, stage, plain.results, results),
            partial(_drain_product, stage),
        )
        for measure_one in measures:
            measure_one(WARM_UP)
        sizes = (JOBS, JOBS_WITH_RESULTS, JOBS)
        rates = in_turns(rounds, *map(partial, measures, sizes))
    without = [(bare_rate, rate) for bare_rate, _, rate in rates]
    with_results = [(results_rate, rate) for _, results_rate, rate in rates]
    name = f"{JOBS:,} no-op jobs, waiting to succeeded, relay included"
    return [
        Figure(name, "Celery, quorum queue, late acks, no results", "jobs/s", Goal(0.5), without),
        Figure(name, "Celery with django-celery-results", "jobs/s", Goal(6), with_results),
    ]


def _drain_product(stage: Stage, jobs: int) -> float:
    """Return the jobs per second from the commit of the last to the settle of the last."""
    _forget(stage)
    enqueue_many(do_nothing, [Number(number=number) for number in range(jobs)])
    started = time.time()
    wait_until(lambda: stage.ticks.tally().count >= jobs)
    wait_until(lambda: not Job.objects.live().exists())
    done = Job.objects.filter(state=JobState.SUCCEEDED)
    ended = done.aggregate(at=Max("settled_at"))["at"].timestamp()
    if done.count() != jobs:
        raise RuntimeError(f"{done.count()} of {jobs} jobs succeeded.")
    return float(jobs / (ended - started))


def _forget(stage: Stage) -> None:
    """Empty the ledger, so that every round finds the same."""
    stage.ticks.reset()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE jobs_job CASCADE")


def _drain_plain(stage: Stage, app: Any, worker: Child, jobs: int) -> float:
    """Return the tasks per second from the first to the last, all published before the first."""
    stage.ticks.reset()
    with paused(worker):
        _publish(app, jobs)
    wait_until(lambda: stage.ticks.tally().count >= jobs)
    tally = stage.ticks.tally()
    return (tally.count - 1) / (tally.last - tally.first)


def _publish(app: Any, jobs: int) -> None:
    """Publish as fast as can be: that is not what is measured here."""
    task = app.tasks[f"{app.main}.do_nothing"]
    with app.producer_pool.acquire(block=True) as producer:
        for number in range(jobs):
            task.apply_async(kwargs={"number": number}, producer=producer)


@contextmanager
def paused(worker: Child) -> Iterator[None]:
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker.pid, signal.SIGCONT)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError("The tasks were not done in five minutes.")
        time.sleep(0.1)

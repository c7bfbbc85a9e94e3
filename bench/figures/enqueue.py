"""How fast are jobs accepted? Against `delay()` with confirms, on the same quorum queue."""

import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from celery import Celery
from django.db import transaction

from bench import plain
from bench.rounds import Figure, Goal, in_turns
from bench.stage import Stage, purge
from bench.tasks import Number, do_nothing
from jobs import enqueue, enqueue_many
from jobs.engine.publisher import Publisher, open_publisher
from jobs.engine.relay import relay_due_jobs
from jobs.models import Job

JOBS = 10_000
CALLS = 1_000


def measure(stage: Stage, rounds: int) -> list[Figure]:
    """Return the figures for many jobs handed over and for one call."""
    app, publisher = _celery(stage), open_publisher()
    delayed = app.tasks["plain.do_nothing"]
    delayed.delay(number=0)
    _relay_many(stage, publisher, 100)  # Both connect and declare before the clock runs.
    many = in_turns(
        rounds, partial(_delay_many, stage, delayed), partial(_relay_many, stage, publisher, JOBS)
    )
    one = in_turns(rounds, partial(_delay_one, stage, delayed), _enqueue_one)
    publisher.close()
    return [
        Figure(
            f"{JOBS:,} jobs: enqueue_many, then relay until the last confirm",
            "a loop of delay() with confirms, same queue",
            "jobs/s",
            Goal(6),
            many,
        ),
        Figure(
            "one enqueue in an open transaction",
            "one delay() with confirms",
            "ms",
            Goal(0.5, most=True),
            one,
        ),
    ]


def _celery(stage: Stage) -> Celery:
    """Return an app that sends to the product's own lane `jobs`, which nobody consumes now."""
    app = Celery("plain", set_as_current=False, fixups=[])
    app.config_from_object("django.conf:settings", namespace="CELERY")
    app.conf.task_routes = {"plain.*": {"queue": "jobs", "routing_key": "jobs.plain"}}
    app.task(name="plain.do_nothing")(plain.do_nothing)
    app.finalize()
    return app


def _delay_many(stage: Stage, delayed: Any) -> float:
    seconds = _time_calls(lambda number: delayed.delay(number=number))
    purge(stage.broker_url, "jobs")
    return CALLS / sum(seconds)


def _delay_one(stage: Stage, delayed: Any) -> float:
    seconds = _time_calls(lambda number: delayed.delay(number=number))
    purge(stage.broker_url, "jobs")
    return median(seconds) * 1000


def _time_calls(call: Callable[[int], object]) -> list[float]:
    seconds = []
    for number in range(CALLS):
        started = time.perf_counter()
        call(number)
        seconds.append(time.perf_counter() - started)
    return seconds


def _relay_many(stage: Stage, publisher: Publisher, jobs: int) -> float:
    """Return the jobs per second from the call of `enqueue_many` to the broker's last confirm."""
    numbers = [Number(number=number) for number in range(jobs)]
    started = time.perf_counter()
    enqueue_many(do_nothing, numbers)
    relayed = 0
    while sent := relay_due_jobs(publisher):
        relayed += sent
    seconds = time.perf_counter() - started
    if relayed != jobs:
        raise RuntimeError(f"{relayed} of {jobs} jobs were relayed.")
    _forget(stage)
    return jobs / seconds


def _enqueue_one() -> float:
    with transaction.atomic():
        seconds = _time_calls(lambda number: enqueue(do_nothing, Number(number=number)))
        transaction.set_rollback(True)
    return median(seconds) * 1000


def _forget(stage: Stage) -> None:
    Job.objects.all().delete()
    purge(stage.broker_url, "jobs")

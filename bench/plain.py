"""
The references: Celery as one would use it without this product, on the same broker and queue type.

    celery -A bench.plain:bare worker       quorum queue, late acknowledgements, no results
    celery -A bench.plain:results worker    the same with django-celery-results, its defaults
"""

import os
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from bench import ticks

EXCHANGE = Exchange("plain", type="topic")


def plain(name: str, **options: Any) -> Celery:
    """Return an app whose tasks go to the quorum queue `name`, published with confirms."""
    queue = Queue(
        name, exchange=EXCHANGE, routing_key=name, queue_arguments={"x-queue-type": "quorum"}
    )
    app = Celery(name, set_as_current=False, **options)
    app.conf.update(
        broker_url=os.environ["CELERY_BROKER_URL"],
        broker_transport_options={"confirm_publish": True},
        broker_connection_retry_on_startup=True,
        task_queues=[queue],
        task_default_queue=name,
        task_default_exchange=EXCHANGE.name,
        task_default_exchange_type="topic",
        task_default_routing_key=name,
        task_acks_late=True,
        worker_prefetch_multiplier=int(os.environ.get("BENCH_PREFETCH", "1")),
        worker_send_task_events=os.environ.get("WORKER_SEND_TASK_EVENTS", "true") == "true",
    )
    app.task(name=f"{name}.do_nothing")(do_nothing)
    app.task(name=f"{name}.note_start")(note_start)
    return app


def do_nothing(number: int) -> None:
    ticks.tick()


def note_start(number: int) -> None:
    ticks.note(str(number))


#: Without Django altogether: its fixup would close a connection that is never opened.
bare = plain("bare", fixups=[])
bare.conf.task_ignore_result = True

results = plain("results")
results.conf.update(result_backend="django-db", result_extended=True)

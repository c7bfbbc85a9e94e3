"""Every exchange and queue this product declares in RabbitMQ, as one table."""

from kombu import Exchange, Queue

JOBS = Exchange("jobs", type="topic")
DEAD = Exchange("jobs.dead", type="topic")

#: Large enough never to be reached: a dead letter is never dropped for being looked at often.
DEAD_LETTER_DELIVERIES = 1_000_000


def lane(name: str) -> Queue:
    """Return a queue that takes every job type sent to this lane."""
    return Queue(
        name,
        exchange=JOBS,
        routing_key=f"{name}.#",
        queue_arguments={
            "x-queue-type": "quorum",
            "x-delivery-limit": 20,  # A backstop: the ledger counts attempts itself.
            "x-dead-letter-exchange": DEAD.name,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",  # Required by at-least-once dead-lettering.
        },
    )


LANES = tuple(lane(name) for name in ("jobs", "exports", "notifications", "timers", "alerts"))

#: Holds the dead until the alerting task has stored them. No lane: what the workers take from it,
#: `jobs.engine.worker` dresses as a call of that task. No dead-letter exchange: it can't loop.
DEAD_LETTERS = Queue(
    "jobs.dead_letters",
    exchange=DEAD,
    routing_key="#",
    queue_arguments={
        "x-queue-type": "quorum",
        "x-delivery-limit": DEAD_LETTER_DELIVERIES,
    },
)

"""Deliveries of messages to a worker's code in this process, and a publisher that records."""

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from celery import current_app
from celery.exceptions import Ignore, Reject, Retry
from django.db import connection

from jobs.engine.message import Message
from jobs.engine.publisher import Unconfirmed

WORKER = "drill@here"


def deliver(message: Message, *, redelivered: bool = False, hostname: str = WORKER) -> str:
    """Run a message as a worker's child does, and say what the worker would tell the broker."""
    task = current_app.tasks[message.headers["task"]]
    args, kwargs, _ = json.loads(message.body)
    task.push_request(
        **message.headers,
        args=args,
        kwargs=kwargs,
        called_directly=False,
        hostname=hostname,
        delivery_info={"redelivered": redelivered},
    )
    try:
        task(*args, **kwargs)
    except Retry:
        return "acknowledged: retried"
    except Ignore:
        return "acknowledged: ignored"
    except Reject as reject:
        return "requeued" if reject.requeue else "rejected"  # type: ignore[attr-defined]
    except Exception as error:
        return f"rejected: {type(error).__name__}"
    finally:
        task.pop_request()
    return "acknowledged"


@dataclass
class Recorder:
    """A broker that takes every message and keeps it; lanes are empty unless a test fills them."""

    sent: list[Message] = field(default_factory=list)
    ready: dict[str, int] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    away: bool = False
    refused: int = 0

    def connect(self) -> None:
        if self.away:
            self.refused += 1
            raise Unconfirmed(OSError("away"), [])

    def send(self, messages: Sequence[Message]) -> dict[str, str]:
        if self.away:
            raise Unconfirmed(OSError("away"), [message.id for message in messages])
        self.sent += messages
        return {each.id: self.faults[each.id] for each in messages if each.id in self.faults}

    def ready_messages(self, queue: str) -> int | None:
        self.connect()
        return self.ready.get(queue, 0)

    def close(self) -> None:
        return


def at_once(*actions: Callable[[], Any]) -> list[Any]:
    """Run the actions in threads that start together; return each one's result or exception."""
    results: list[Any] = [None] * len(actions)
    barrier = threading.Barrier(len(actions))

    def run(number: int, action: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            results[number] = action()
        except Exception as error:
            results[number] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results

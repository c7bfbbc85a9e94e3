"""The engine's own tasks: the alerting task that stores the dead, and jobs that people ask for."""

import time
from typing import Any

from celery import shared_task
from celery.exceptions import Reject
from pydantic import BaseModel

from jobs import log_events
from jobs.alerts import channels
from jobs.alerts import operations as alerts
from jobs.dead_letters import bulk
from jobs.dead_letters.record import record
from jobs.engine.dead_call import RECORD_DEAD_LETTER
from jobs.engine.dead_message import DeadMessage
from jobs.engine.patience import patiently
from jobs.health import tasks as health_tasks
from jobs.metrics import tasks as metrics_tasks
from jobs.models import AlertDelivery, Job
from jobs.schedules import tasks as schedules_tasks
from jobs.states import DeliveryState
from jobs.task import job_task
from jobs.upkeep import tasks as upkeep_tasks
from jobs.workflows import tasks as workflow_tasks

# Loaded with this module.
__all__ = ["health_tasks", "metrics_tasks", "schedules_tasks", "upkeep_tasks", "workflow_tasks"]

#: How long the alerting task waits for a database that is away, before the message goes back.
DATABASE_WAIT_SECONDS = 600

#: How long a child holds a dead letter that it can't store: it would else come again at once.
PAUSE_SECONDS = 5

#: An alert is tried for a day: waits of 10 s, 20 s, … up to 10 minutes.
ALERT_RETRIES = 150


make_task: Any = shared_task


@make_task(
    name=RECORD_DEAD_LETTER,
    Request="jobs.engine.requests:DeadLetterRequest",
    acks_late=True,
    ignore_result=True,
    store_errors_even_if_ignored=False,
    soft_time_limit=DATABASE_WAIT_SECONDS + 60,
    time_limit=DATABASE_WAIT_SECONDS + 120,
)  # type: ignore[untyped-decorator]
def record_dead_letter(message: dict[str, Any]) -> None:
    """
    Store a dead message. No job: whatever ends it, the message goes back to its queue.

    :raises Reject: with requeue, when it can't be stored now.
    """
    dead = DeadMessage.from_json(message)
    try:
        patiently("record", lambda: record(dead), seconds=DATABASE_WAIT_SECONDS)
    except Reject:
        raise
    except Exception as error:
        log_events.record_failed(error, PAUSE_SECONDS)
        time.sleep(PAUSE_SECONDS)
        raise Reject(error, requeue=True) from error


class AlertPayload(BaseModel):
    delivery_id: int
    channel: str


@job_task(
    name=alerts.SEND_ALERT,
    queue=alerts.LANE,
    atomic=False,
    max_in_flight=2,
    partition=lambda _, payload: str(payload.channel),
    max_retries=ALERT_RETRIES,
    soft_time_limit=60,
    time_limit=90,
    on_settled=alerts.write_outcome,
    on_replayed=alerts.point_to_new_job,
)
def send_alert(job: Job, payload: AlertPayload) -> None:
    """Send an alert through one channel; a hung channel keeps two workers at most."""
    delivery = AlertDelivery.objects.select_related("alert").get(pk=payload.delivery_id)
    if delivery.state != DeliveryState.DELIVERED:
        channels.send(delivery)
    with job.succeeding():
        alerts.mark_delivered(delivery.pk)


class BulkPayload(BaseModel):
    bulk_replay_id: str


@job_task(name=bulk.REPLAY_SLICE, on_settled=bulk.write_outcome)
def replay_slice(job: Job, payload: BulkPayload) -> None:
    """Replay the next dead letters of a bulk replay; atomic, with the job of the slice after."""
    bulk.replay_slice(payload.bulk_replay_id)

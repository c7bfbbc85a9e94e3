"""What must be true of the settings for the engine to keep its promises; `manage.py check`."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from celery import current_app
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning

from jobs import registry
from jobs.errors import EnqueueRefused
from jobs.lanes import lane_names, lanes
from jobs.schedules.errors import BrokenSchedule
from jobs.schedules.sync import check_row

#: RabbitMQ closes the channel of a consumer that holds a message for longer (its default).
BROKER_PATIENCE_SECONDS = 1_800

LANE_ARGUMENTS = {
    "x-queue-type": "quorum",
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}


class Option(NamedTuple):
    """A Celery option that the engine needs to have one value."""

    id: str
    name: str
    value: Any
    reason: str


OPTIONS = (
    Option("E001", "accept_content", ["json"], "Another format could run code, or not be read."),
    Option("E002", "task_serializer", "json", "Payloads are JSON, readable by every program."),
    Option("E003", "task_acks_late", True, "A message acknowledged early is lost with its worker."),
    Option("E004", "task_acks_on_failure", False, "Only a rejected failure is dead-lettered."),
    Option("E005", "task_acks_on_timeout", False, "Only a rejected time-out comes back."),
    Option("E006", "task_reject_on_worker_lost", False, "A killer would go round for ever."),
    Option("E007", "task_retry_on_worker_lost", False, "Celery would publish past the ledger."),
    Option("E008", "task_create_missing_queues", False, "Such a queue has no dead letters."),
    Option("E009", "worker_consumer", "jobs.engine.worker:JobConsumer", "It closes Celery's gaps."),
    Option("E010", "timezone", "UTC", "Times in messages and in the ledger must agree."),
)  # fmt: skip


def check_settings(**_: Any) -> list[CheckMessage]:
    """Return every fault; registered by the app's config."""
    return [fault for check in CHECKS for fault in check()]


def celery_options() -> Iterator[CheckMessage]:
    for option in OPTIONS:
        value = current_app.conf.get(option.name)
        if value != option.value:
            name = f"CELERY_{option.name.upper()}"
            message = f"{name} is {value!r}. {option.reason}"
            yield _error(option.id, message, f"Set {name} = {option.value!r}.")


def confirms() -> Iterator[CheckMessage]:
    options = current_app.conf.broker_transport_options or {}
    if settings.PROFILE == "services" and not options.get("confirm_publish"):
        message = "Celery publishes without the broker's confirm: what is lost then is not noticed."
        hint = 'Set CELERY_BROKER_TRANSPORT_OPTIONS = {"confirm_publish": True}.'
        yield _error("E011", message, hint)


def time_zone() -> Iterator[CheckMessage]:
    if not settings.USE_TZ or settings.TIME_ZONE != "UTC":
        message = "Times are not kept in UTC: an hour would come twice, or never."
        yield _error("E012", message, 'Set USE_TZ = True and TIME_ZONE = "UTC".')


def heartbeat() -> Iterator[CheckMessage]:
    beat, lease = settings.JOBS_HEARTBEAT_SECONDS, settings.JOBS_LEASE_SECONDS
    if beat >= lease:
        message = f"A heartbeat every {beat} s can't keep a lease of {lease} s."
        hint = "Make JOBS_LEASE_SECONDS some times JOBS_HEARTBEAT_SECONDS; six is usual."
        yield _error("E013", message, hint)


def time_limits() -> Iterator[CheckMessage]:
    for job_type in registry.all_types():
        task = current_app.tasks.get(job_type.name)
        if task is None:
            continue  # Declared by a test, in no module that Celery loads.
        hard, soft = task.time_limit, task.soft_time_limit
        if not hard or hard >= BROKER_PATIENCE_SECONDS:
            message = (
                f"{job_type.name}: the hard limit is {hard} s, but the broker takes a message "
                f"away after {BROKER_PATIENCE_SECONDS} s."
            )
            yield _error("E014", message, "Set JOBS_HARD_LIMIT_SECONDS, or its time_limit, lower.")
        if not soft or (hard and soft >= hard):
            message = (
                f"{job_type.name}: the soft limit ({soft} s) is not below the hard one ({hard} s): "
                "it would be killed without a word."
            )
            yield _error("E015", message, "Set JOBS_SOFT_LIMIT_SECONDS, or soft_time_limit, lower.")


def announcing() -> Iterator[CheckMessage]:
    name = settings.JOBS_ANNOUNCE_TASK
    if name and registry.find_type(name) is None:
        message = f"JOBS_ANNOUNCE_TASK is {name!r}, and no job type has this name: nobody is told."
        yield _error("E020", message, "Name the type that tells of events, or set it to ''.")


def lanes_of_types() -> Iterator[CheckMessage]:
    known = lane_names()
    for job_type in registry.all_types():
        if job_type.queue not in known:
            message = f"{job_type.name}: no lane is named {job_type.queue!r}; its jobs would fail."
            hint = f"Use one of {', '.join(sorted(known))}, or add a lane to CELERY_TASK_QUEUES."
            yield _error("E016", message, hint)


def dead_letter_consumer() -> Iterator[CheckMessage]:
    queue = settings.JOBS_DEAD_LETTER_QUEUE
    if queue.name not in {each.name for each in settings.CELERY_TASK_QUEUES}:
        message = f"{queue.name} is in no worker's list: what dies would be stored by nobody."
        yield _error("E017", message, "Add JOBS_DEAD_LETTER_QUEUE to CELERY_TASK_QUEUES.")
    if (queue.queue_arguments or {}).get("x-dead-letter-exchange"):
        message = f"{queue.name} has a dead-letter exchange: the dead would go round."
        yield _error("E019", message, "Take x-dead-letter-exchange out of its arguments.")


def arguments_of_lanes() -> Iterator[CheckMessage]:
    for queue in lanes():
        wanted = {
            **LANE_ARGUMENTS,
            "x-dead-letter-exchange": settings.JOBS_DEAD_LETTER_QUEUE.exchange.name,
        }
        given = queue.queue_arguments or {}
        wrong = sorted(name for name, value in wanted.items() if given.get(name) != value)
        if wrong:
            message = f"The lane {queue.name!r} would lose messages: see its {', '.join(wrong)}."
            hint = f"Give it {', '.join(f'{name}={wanted[name]}' for name in wrong)}."
            yield _error("E018", message, hint)


def cron_table() -> Iterator[CheckMessage]:
    if current_app.conf.beat_schedule:
        message = "CELERY_BEAT_SCHEDULE is read by nobody: schedules live in the database."
        hint = "Put its rows into JOBS_SCHEDULES, and run manage.py sync_schedules."
        yield Warning(message, hint=hint, id="jobs.W001")
    names = Counter(row.name for row in settings.JOBS_SCHEDULES)
    for name in (name for name, count in names.items() if count > 1):
        yield _error(
            "E020", f"JOBS_SCHEDULES: {names[name]} rows are named {name!r}.", "Rename one."
        )
    for row in settings.JOBS_SCHEDULES:
        try:
            check_row(row)
        except (BrokenSchedule, EnqueueRefused) as fault:
            yield _error("E020", f"JOBS_SCHEDULES: {row.name}: {fault}", "Mend the row.")


CHECKS: tuple[Callable[[], Iterator[CheckMessage]], ...] = (
    celery_options,
    confirms,
    time_zone,
    heartbeat,
    time_limits,
    lanes_of_types,
    announcing,
    dead_letter_consumer,
    arguments_of_lanes,
    cron_table,
)


def _error(number: str, message: str, hint: str) -> CheckMessage:
    return Error(message, hint=hint, id=f"jobs.{number}")

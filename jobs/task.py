"""`@job_task`: makes a function of a job and a typed payload a Celery task that loses nothing."""

import inspect
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, get_type_hints

from celery import Task, shared_task
from celery.exceptions import MaxRetriesExceededError, Reject, Retry
from django.conf import settings
from pydantic import BaseModel

from jobs import operations, registry
from jobs.engine import stopping
from jobs.engine.delivery import Delivery
from jobs.errors import (
    EnqueueRefused,
    GiveUp,
    NotNow,
    NotWanted,
    PayloadRefused,
    RetryAfter,
)
from jobs.models import Job
from jobs.registry import JobType

#: Longer waits would outlive the patience of whoever looks: 10 minutes at most.
LONGEST_RETRY_SECONDS = 600

#: Celery's options that the ledger keeps as columns, and those that mean nothing without it.
_KEPT = frozenset(
    {"countdown", "eta", "expires", "tenant_id", "user_id", "key", "priority", "headers"}
)
_AS_THEY_ARE = ("tenant_id", "user_id", "key", "priority", "headers")
_HARMLESS = frozenset({"producer", "connection", "router", "add_to_parent", "ignore_result"})


class JobTask(Task):  # type: ignore[type-arg]
    """A Celery task whose every execution is claimed, fenced and settled in the ledger."""

    abstract = True
    Request = "jobs.engine.requests:JobRequest"
    acks_late = True
    ignore_result = True
    store_errors_even_if_ignored = False
    autoretry_for = (Exception,)
    dont_autoretry_for = (Reject, GiveUp, NotNow, NotWanted, PayloadRefused)
    retry_backoff = settings.JOBS_RETRY_BASE_SECONDS
    retry_backoff_max = max(LONGEST_RETRY_SECONDS, settings.JOBS_RETRY_BASE_SECONDS)
    retry_jitter = False  # Celery's default is full jitter: anything from 0 to the wait.
    max_retries = settings.JOBS_RETRIES_MAX
    soft_time_limit = settings.JOBS_SOFT_LIMIT_SECONDS
    time_limit = settings.JOBS_HARD_LIMIT_SECONDS
    job_type: JobType

    def __call__(self, /, *args: Any, **kwargs: Any) -> None:
        """Run one delivery; let go of its job when the worker stops or the lease is lost."""
        delivery = self._delivery(args, kwargs)
        self.request.update(delivery=delivery)
        if self.request.get("revoked"):
            delivery.revoke()
        try:
            with stopping.interruptible(str(self.request.id)):
                delivery.attempt(lambda: self.run(**kwargs), soft_limit=self._soft_limit())
        except stopping.Interrupted:
            delivery.let_go()

    def retry(
        self,
        args: Any = None,
        kwargs: Any = None,
        exc: Exception | None = None,
        throw: bool = True,
        eta: datetime | None = None,
        countdown: float | None = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> Retry:
        """
        Store the wait in the ledger; the relay sends the next attempt when it is due.

        Celery's own would publish from here and, where it can't, reject with attempts left.
        Otherwise as Celery's: the same limit, and a `Retry` that acknowledges this delivery.
        """
        delivery: Delivery = self.request.get("delivery")
        job = delivery.job
        limit = self.max_retries if max_retries is None else max_retries
        if limit is not None and job.failures >= limit:
            raise exc or MaxRetriesExceededError(f"Can't retry {job} again.")
        wait = _wait(eta, self.default_retry_delay if countdown is None else countdown)
        error = exc or Retry("asked for by the task")
        if isinstance(error, RetryAfter):
            wait = max(wait, timedelta(seconds=error.seconds))
        delivery.retry_later(error, wait)
        retry = Retry(exc=error, when=wait.total_seconds())  # type: ignore[arg-type]
        if throw:
            raise retry
        return retry

    def delay(self, *args: Any, **kwargs: Any) -> Job:  # type: ignore[override]
        return self.apply_async(args, kwargs)

    def apply_async(  # type: ignore[override]
        self, args: Any = None, kwargs: dict[str, Any] | None = None, **options: Any
    ) -> Job:
        """
        Enqueue: one INSERT in the caller's transaction; the keyword arguments are the payload.

        :raises EnqueueRefused: naming an option that the ledger can't keep.
        """
        given = {name: value for name, value in options.items() if value not in (None, [], {})}
        unknown = sorted(given.keys() - _KEPT - _HARMLESS)
        if unknown or args:
            what = ", ".join(unknown) or "positional arguments"
            raise EnqueueRefused(f"{self.name}: {what} can't be kept in the ledger.")
        return operations.enqueue(
            self.name,
            kwargs or {},
            run_at=_moment(given, "eta") or _moment(given, "countdown"),
            expires_at=_moment(given, "expires"),
            **{name: given[name] for name in _AS_THEY_ARE if name in given},
        )

    def _delivery(self, args: Any, payload: dict[str, Any]) -> Delivery:
        if self.request.id is None:
            raise TypeError(
                f"{self.name} runs in a worker: enqueue it; in a test, run what was enqueued by "
                "jobs.testing.run_enqueued_jobs."
            )
        if args:
            raise PayloadRefused(f"{self.name}: the payload is keyword arguments alone.")
        return Delivery(self.job_type, self.request, payload)

    def _soft_limit(self) -> float | None:
        limit: float | None = (self.request.timelimit or (None, None))[1] or self.soft_time_limit
        return limit


def job_task(
    *,
    name: str,
    queue: str = "jobs",
    atomic: bool = True,
    max_in_flight: int | None = None,
    partition: Callable[[uuid.UUID, Any], str] | None = None,
    on_settled: Callable[[Job], None] = registry._nothing,
    on_replayed: Callable[[Job, Job], None] = registry._nothing,
    put_away: Callable[[Job, Any], BaseModel] | None = None,
    tells_of_failure: bool = False,
    **celery_options: Any,
) -> Callable[[Callable[[Job, Any], None]], Any]:
    """
    Declare a job type: `name` is `<app>.<verb_noun>`, `queue` its lane.

    An *atomic* type (the default) shares one transaction with its settle: its database effects
    happen once. With `atomic=False` it writes inside `job.fence()` or `job.succeeding()` alone.
    `max_in_flight` and `partition(tenant_id, payload)` set its own fairness. `on_settled(job)` runs
    in the transaction that settles a job of the type, whoever settles it; `on_replayed(old, new)`
    in the one that replays it. `put_away(job, payload)` stores elsewhere what is not for everybody
    who may see jobs, in the transaction that stores the job, and returns the payload that the
    ledger keeps: it never refuses, but lets the job fail. `tells_of_failure`: its feature tells the
    person who asked when it fails, so that `job.dead_lettered` need not. Other options are Celery's
    (`max_retries`, …).
    """

    def declare(function: Callable[[Job, Any], None]) -> Any:
        job_type = JobType(
            name=name,
            queue=queue,
            payload=_payload_model(function),
            function=function,
            atomic=atomic,
            max_in_flight=max_in_flight,
            partition=partition,
            on_settled=on_settled,
            on_replayed=on_replayed,
            put_away=put_away,
            tells_of_failure=tells_of_failure,
        )
        registry.register(job_type)
        make_task: Any = shared_task
        options = {"name": name, "base": JobTask, "bind": True, "job_type": job_type}
        return make_task(**options, **celery_options)(_body)

    return declare


def _body(task: JobTask, /, **_: Any) -> None:
    """Celery's `run` of every type, under its autoretry: a retry finds the work rolled back."""
    delivery: Delivery = task.request.get("delivery")
    delivery.work()


def _payload_model(function: Callable[[Job, Any], None]) -> Any:
    """Return the annotation of the function's second parameter."""
    names = list(inspect.signature(function).parameters)
    model = get_type_hints(function).get(names[1]) if len(names) == 2 else None
    if not (inspect.isclass(model) and issubclass(model, BaseModel)):
        raise TypeError(
            f"{function.__module__}.{function.__qualname__}: write it as "
            "`def verb_noun(job: Job, payload: SomePydanticModel) -> None`."
        )
    return model


def _wait(eta: datetime | None, countdown: float) -> timedelta:
    return eta - datetime.now(UTC) if eta else timedelta(seconds=countdown)


def _moment(options: dict[str, Any], name: str) -> datetime | None:
    """Return an option of Celery's, in seconds or a time already, as a time."""
    value = options.get(name)
    if value is None or isinstance(value, datetime):
        return value
    try:
        return datetime.now(UTC) + timedelta(seconds=float(value))
    except (TypeError, ValueError, OverflowError):
        raise EnqueueRefused(f"{name}: {value!r} is neither seconds nor a time.") from None

"""Every job type this process knows, and what was declared of it."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from pydantic import BaseModel, ValidationError

from jobs.errors import PayloadRefused, UnknownTaskType
from jobs.models import Job
from jobs.payloads import faults_of


def _nothing(*_: Any) -> None:
    """Do nothing: what a hook does where a type declares none."""


@dataclass(frozen=True, kw_only=True)
class JobType:
    """What `@job_task` declares: the policy of one type of job."""

    name: str
    queue: str
    payload: type[BaseModel]
    function: Callable[[Job, Any], None]
    atomic: bool = True
    max_in_flight: int | None = None
    partition: Callable[[uuid.UUID, Any], str] | None = None
    on_settled: Callable[[Job], None] = _nothing
    on_replayed: Callable[[Job, Job], None] = _nothing
    put_away: Callable[[Job, Any], BaseModel] | None = None
    tells_of_failure: bool = False

    @property
    def pool(self) -> str:
        """The first half of a partition: the type, where it has a limit of its own, or the lane."""
        return self.name if self.max_in_flight else self.queue

    def partition_of(self, tenant_id: uuid.UUID, payload: BaseModel | None) -> str:
        """Return the partition; of a payload that can't be read, the tenant's own."""
        if payload is None:
            return f"{self.pool}/{tenant_id}"
        share = self.partition(tenant_id, payload) if self.partition else str(tenant_id)
        return f"{self.pool}/{share}"

    def read(self, payload: Any) -> BaseModel:
        """
        Return the payload as the type's model.

        :raises PayloadRefused: naming each field that doesn't fit.
        """
        if isinstance(payload, self.payload):
            return payload
        try:
            return self.payload.model_validate(payload)
        except ValidationError as error:
            faults = faults_of(error, "payload")
            raise PayloadRefused(f"The payload of {self.name} doesn't fit: {faults}") from None


_types: dict[str, JobType] = {}


def register(job_type: JobType) -> None:
    """
    Make a type known to this process. The same function may come again: its module was reloaded.

    :raises ValueError: if another function has the name, or nothing of the type could run.
    """
    known = _types.get(job_type.name)
    if known and _place(known) != _place(job_type):
        raise ValueError(f"Two job types are named {job_type.name!r}; rename one.")
    if job_type.max_in_flight is not None and job_type.max_in_flight < 1:
        raise ValueError(f"{job_type.name}: max_in_flight is at least 1.")
    _types[job_type.name] = job_type


def _place(job_type: JobType) -> tuple[str, str]:
    return job_type.function.__module__, job_type.function.__qualname__


def get_type(name: str) -> JobType:
    """
    Return what was declared under this name.

    :raises UnknownTaskType: listing the names there are.
    """
    try:
        return _types[name]
    except KeyError:
        raise UnknownTaskType(name, sorted(_types)) from None


def find_type(name: str) -> JobType | None:
    """Return the type, or None for one that another release or program knows."""
    return _types.get(name)


def has_hook(name: str) -> bool:
    """Tell whether something must happen in the transaction that settles a job of this type."""
    job_type = _types.get(name)
    return job_type is not None and job_type.on_settled is not _nothing


def puts_away(name: str) -> bool:
    """Tell whether payloads of this type may hold what is not for everybody who may see jobs."""
    job_type = _types.get(name)
    return job_type is not None and job_type.put_away is not None


_failure_hooks: list[Callable[[Job], None]] = []


def on_failure(hook: Callable[[Job], None]) -> None:
    """Call `hook` in the transaction that settles any job as failed, after its type's own."""
    _failure_hooks.append(hook)


def tell_of_failure(job: Job) -> None:
    for hook in _failure_hooks:
        hook(job)


def all_types() -> list[JobType]:
    return sorted(_types.values(), key=lambda job_type: job_type.name)


def in_flight_limit(partition: str) -> int:
    """Return how many jobs of this partition may be queued or running at once."""
    pool = partition.partition("/")[0]
    job_type = _types.get(pool)
    if job_type and job_type.max_in_flight:
        return job_type.max_in_flight
    return int(settings.JOBS_LANE_IN_FLIGHT_MAX.get(pool, settings.JOBS_IN_FLIGHT_MAX))


def in_flight_limits() -> dict[str, int]:
    """Return the limit of each pool that does not have the default."""
    limits = dict(settings.JOBS_LANE_IN_FLIGHT_MAX)
    limits.update({t.name: t.max_in_flight for t in _types.values() if t.max_in_flight})
    return limits

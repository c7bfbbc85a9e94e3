"""What may be read of jobs."""

import uuid
from datetime import datetime, timedelta

from django.db.models import Count, Max, Min
from django.utils import timezone

from jobs.errors import UnknownJob
from jobs.models import Job, Process
from jobs.states import DUE, JobState


def get_job(job_id: uuid.UUID, *, tenant_id: uuid.UUID | None = None) -> Job:
    """
    Return one job; a tenant's own only, where a tenant is named.

    :raises UnknownJob: the same for an id that isn't there and for another tenant's.
    """
    jobs = Job.objects.filter(pk=job_id)
    if tenant_id is not None:
        jobs = jobs.of_tenant(tenant_id)
    job = jobs.first()
    if job is None:
        raise UnknownJob(f"There is no job {job_id}.")
    return job


def list_jobs(
    *,
    tenant_id: uuid.UUID | None = None,
    state: str | None = None,
    job_type: str | None = None,
    before: uuid.UUID | None = None,
    limit: int = 50,
) -> list[Job]:
    """Return jobs, newest first; `before` is the id of the last one seen."""
    jobs = Job.objects.order_by("-pk")
    if tenant_id is not None:
        jobs = jobs.of_tenant(tenant_id)
    wanted = {"state": state, "type": job_type, "pk__lt": before}
    return list(jobs.filter(**{name: value for name, value in wanted.items() if value})[:limit])


def count_by_state() -> dict[str, int]:
    counts = dict.fromkeys(JobState.values, 0)
    counts.update(Job.objects.values_list("state").annotate(Count("pk")).order_by())
    return counts


def count_by_queue() -> dict[str, dict[str, int]]:
    """Return `{lane: {state: jobs}}` of live jobs, as the ledger has them."""
    table: dict[str, dict[str, int]] = {}
    rows = Job.objects.live().values_list("queue", "state").annotate(Count("pk")).order_by()
    for queue, state, count in rows:
        table.setdefault(queue, {})[state] = count
    return table


def relay_lag() -> timedelta:
    """
    Return how long due jobs have been waiting for the relay.

    Not for their turn: a relay that found less than a batch to send has none to wait for it.
    """
    now = timezone.now()
    oldest = Job.objects.filter(state__in=DUE, run_at__lte=now).aggregate(at=Min("run_at"))["at"]
    caught_up = Process.objects.filter(kind="relay").aggregate(at=Max("caught_up_at"))["at"]
    since = max(filter(None, (oldest, caught_up)), default=now) if oldest else now
    return max(now - since, timedelta(0))


def last_beat_tick() -> datetime | None:
    """Return when any beat last ticked, by the database's clock; None where none ever has."""
    tick: datetime | None = Process.objects.filter(kind="beat").aggregate(at=Max("seen_at"))["at"]
    return tick

"""`/api/v1/jobs`: see a tenant's jobs and their attempts, cancel them, run them again."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import Field

from jobs import operations, queries
from jobs.http import RequestSchema, page_of, refuse_unknown_parameters, require
from jobs.models import Attempt, Job
from jobs.states import JobState, Outcome

router = Router()

READ, WRITE = "jobs:read", "jobs:write"


class Filters(RequestSchema):
    state: JobState | None = None
    type: Annotated[str, Field(max_length=120)] | None = None
    before: UUID | None = Field(None, description="The id of the last job seen: older ones follow.")
    limit: int = Field(50, ge=1, le=200)


class AttemptOut(Schema):
    """One execution that has ended."""

    attempt: int
    outcome: Outcome
    error: str
    started_at: datetime | None
    ended_at: datetime

    @staticmethod
    def resolve_error(attempt: Attempt) -> str:
        return ": ".join(part for part in (attempt.error_type, attempt.error_message) if part)


class JobOut(Schema):
    id: UUID
    type: str
    queue: str
    state: JobState
    attempts: int = Field(description="Executions that ended in an error or a success.")
    error: str
    user_id: UUID | None
    replay_of: UUID | None = Field(validation_alias="replay_of_id")
    created_at: datetime
    run_at: datetime
    expires_at: datetime | None
    queued_at: datetime | None
    started_at: datetime | None
    settled_at: datetime | None


class JobDetail(JobOut):
    payload: dict[str, Any]
    replayed_by: UUID | None
    history: list[AttemptOut]

    @staticmethod
    def resolve_replayed_by(job: Job) -> UUID | None:
        return Job.objects.filter(replay_of=job).values_list("pk", flat=True).first()

    @staticmethod
    def resolve_history(job: Job) -> list[Attempt]:
        return list(job.history.order_by("attempt"))


class JobPage(Schema):
    items: list[JobOut]
    next_before: UUID | None = Field(description="Pass it as `before` for the next page.")


@router.get("", response=JobPage, summary="List jobs, newest first")
def list_jobs(request: HttpRequest, filters: Query[Filters]) -> dict[str, Any]:
    actor = require(request, READ)
    refuse_unknown_parameters(request, Filters)
    jobs = queries.list_jobs(
        tenant_id=actor.tenant_id,
        state=filters.state,
        job_type=filters.type,
        before=filters.before,
        limit=filters.limit,
    )
    return page_of(jobs, filters.limit)


@router.get("/{job_id}", response=JobDetail, url_name="job", summary="See a job and its attempts")
def get_job(request: HttpRequest, job_id: UUID) -> Job:
    return queries.get_job(job_id, tenant_id=require(request, READ).tenant_id)


@router.post("/{job_id}/cancel", response=JobDetail, summary="Cancel a live job")
def cancel_job(request: HttpRequest, job_id: UUID) -> Job:
    actor = require(request, WRITE)
    return operations.cancel_job(job_id=job_id, by=str(actor.user), tenant_id=actor.tenant_id)


@router.post("/{job_id}/retry", response={202: JobDetail}, summary="Run a job again, as a new one")
def retry_job(request: HttpRequest, job_id: UUID) -> Any:
    actor = require(request, WRITE)
    job = operations.replay_job(job_id=job_id, by=str(actor.user), tenant_id=actor.tenant_id)
    job.refresh_from_db()  # Its times are the database's.
    return Status(202, job)

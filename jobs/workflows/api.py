"""`/api/v1/workflows`: start one, see where it is, send a step, cancel, restart."""

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from ninja import Query, Router, Schema, Status
from pydantic import Field

from jobs.http import Member, RequestSchema, page_of, refuse_unknown_parameters, require
from jobs.idempotency import Answer, answer_once
from jobs.models import Workflow, WorkflowStep
from jobs.states import StepStatus, WorkflowStatus
from jobs.workflows import operations, queries
from jobs.workflows.given import read, refuse_unknown
from jobs.workflows.registry import get_public_definition
from jobs.workflows.timers import deadline_of

router = Router()

READ, WRITE = "workflows:read", "workflows:write"

Name = Annotated[str, Field(max_length=120)]


class WorkflowIn(RequestSchema):
    name: Name
    data: dict[str, Any] = Field(default_factory=dict)


class StepIn(RequestSchema):
    step_number: int = Field(ge=1, le=10_000, strict=True)
    data: dict[str, Any] = Field(default_factory=dict)


class RestartIn(RequestSchema):
    from_step: int | None = Field(
        None, ge=1, strict=True, description="The one at which it ended, by default."
    )


class Filters(RequestSchema):
    status: WorkflowStatus | None = None
    name: Name | None = None
    before: uuid.UUID | None = Field(None, description="The id of the last workflow seen.")
    limit: int = Field(50, ge=1, le=200)


class Look(RequestSchema):
    branches: Literal["all"] | None = Field(
        None, description="List the branches of steps with more than 100, too."
    )


class WorkflowStarted(Schema):
    workflow_id: uuid.UUID
    status: str


class StepOut(Schema):
    number: int
    branch: int
    name: str
    status: StepStatus
    output: Any
    attempts: int
    progress_done: int = Field(description="Of a long step, in its own units.")
    progress_total: int
    error: str
    started_at: datetime | None
    ended_at: datetime | None


class BranchesOut(Schema):
    number: int = Field(description="Of the parallel step.")
    total: int
    waiting: int
    running: int
    done: int
    failed: int
    cancelled: int


class WorkflowOut(Schema):
    id: uuid.UUID
    name: str
    status: WorkflowStatus
    progress: int = Field(validation_alias="percent", description="Of its steps, 0 to 100.")
    step_number: int = Field(description="The step that is to be done now.")
    step_count: int
    error: str | None
    user_id: uuid.UUID | None
    restart_of: uuid.UUID | None = Field(validation_alias="restart_of_id")
    created_at: datetime
    ended_at: datetime | None

    @staticmethod
    def resolve_error(workflow: Workflow) -> str | None:
        return workflow.error or None


class WorkflowDetail(WorkflowOut):
    state: dict[str, Any]
    deadline_at: datetime | None
    restarted_as: uuid.UUID | None
    branches: list[BranchesOut] = Field(description="How many each parallel step has.")
    steps: list[StepOut] = Field(
        description="And branches; of steps with more than 100, with `?branches=all` alone."
    )

    @staticmethod
    def resolve_deadline_at(workflow: Workflow) -> datetime | None:
        return deadline_of(workflow)

    @staticmethod
    def resolve_restarted_as(workflow: Workflow) -> uuid.UUID | None:
        again = Workflow.objects.filter(restart_of=workflow)
        return again.values_list("pk", flat=True).first()

    @staticmethod
    def resolve_branches(workflow: Workflow) -> list[dict[str, int]]:
        counts = queries.count_branches(workflow)
        return [
            {"number": each.number, "total": each.total, **each.by_status}
            for each in counts
            if queries.is_parallel(workflow, each)
        ]

    @staticmethod
    def resolve_steps(workflow: Workflow, context: dict[str, Any]) -> list[WorkflowStep]:
        if context["request"].GET.get("branches") == "all":
            return queries.list_steps(workflow)
        return queries.list_steps(workflow, queries.count_branches(workflow))


class StepCompleted(Schema):
    status: str
    step_number: int
    result: Any


class WorkflowPage(Schema):
    items: list[WorkflowOut]
    next_before: uuid.UUID | None = Field(description="Pass it as `before` for the next page.")


@router.post("", response={202: WorkflowStarted}, summary="Start a workflow")
def start_workflow(request: HttpRequest, body: WorkflowIn) -> JsonResponse:
    """With an `Idempotency-Key`, the same request sent again gets the same answer."""
    actor = require(request, WRITE)
    return answer_once(request, actor, lambda: _start(actor, body))


@router.get("", response=WorkflowPage, summary="List workflows, newest first")
def list_workflows(request: HttpRequest, filters: Query[Filters]) -> dict[str, Any]:
    actor = require(request, READ)
    refuse_unknown_parameters(request, Filters)
    found = queries.list_workflows(actor.tenant_id, **filters.model_dump())
    return page_of(found, filters.limit)


@router.get(
    "/{workflow_id}", response=WorkflowDetail, url_name="workflow", summary="See a workflow"
)
def get_workflow(request: HttpRequest, workflow_id: uuid.UUID, look: Query[Look]) -> Workflow:
    """With each step that has begun; of one with more than 100 branches, how many are where."""
    actor = require(request, READ)
    refuse_unknown_parameters(request, Look)
    return queries.get_workflow(workflow_id, tenant_id=actor.tenant_id)


@router.post("/{workflow_id}/steps", response=StepCompleted, summary="Do a step")
def send_step(request: HttpRequest, workflow_id: uuid.UUID, body: StepIn) -> dict[str, Any]:
    """One that the definition declares synchronous; sent again, it gets the stored result."""
    actor = require(request, WRITE)
    step = operations.send_step(
        workflow_id=workflow_id,
        number=body.step_number,
        data=body.data,
        tenant_id=actor.tenant_id,
        strict=True,
    )
    return {"status": "step_completed", "step_number": step.number, "result": step.output}


@router.post("/{workflow_id}/cancel", response=WorkflowDetail, summary="Cancel a workflow")
def cancel_workflow(request: HttpRequest, workflow_id: uuid.UUID) -> Workflow:
    actor = require(request, WRITE)
    operations.cancel_workflow(
        workflow_id=workflow_id, by=str(actor.user), tenant_id=actor.tenant_id
    )
    return queries.get_workflow(workflow_id, tenant_id=actor.tenant_id)


@router.post("/{workflow_id}/restart", response={202: WorkflowDetail}, summary="Go on from a step")
def restart_workflow(request: HttpRequest, workflow_id: uuid.UUID, body: RestartIn) -> Any:
    """As a new workflow, which keeps the results of the steps before; the old one stays."""
    actor = require(request, WRITE)
    new = operations.restart_workflow(
        workflow_id=workflow_id,
        by=str(actor.user),
        from_step=body.from_step,
        tenant_id=actor.tenant_id,
    )
    return Status(202, queries.get_workflow(new.pk, tenant_id=actor.tenant_id))


def _start(actor: Member, body: WorkflowIn) -> Answer:
    definition = get_public_definition(body.name)
    model = definition.start or definition.state
    refuse_unknown(model, body.data)
    begun = read(model, body.data).model_dump()
    workflow = operations.start_workflow(
        definition.name, begun, tenant_id=actor.tenant_id, user_id=actor.user_id
    )
    answer = {"workflow_id": str(workflow.pk), "status": "started"}
    return Answer(202, answer, location=reverse("api:workflow", args=[workflow.pk]))

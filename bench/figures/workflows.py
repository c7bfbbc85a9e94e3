"""Do 10,000 open workflows slow down the answer for one, or the look for timers that are due?"""

import time
import uuid
import warnings
from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from statistics import median
from typing import Any

from django.db import connection
from django.test import Client
from django.utils import timezone
from rich.console import Console

from bench.rounds import Figure, Goal
from bench.stage import Stage
from jobs.ids import new_id
from jobs.models import Job, Workflow, WorkflowChange, WorkflowStep, WorkflowTimer
from jobs.payloads import Nothing
from jobs.states import StepStatus
from jobs.workflows import WorkflowDefinition
from jobs.workflows.timers import TIMEOUT, enqueue_due_timers
from project.accounts import operations
from project.accounts.models import User
from project.accounts.scopes import Scope

FEW, MANY = 10, 10_000
STEPS = 5
DUE = 10  #: Timers that a look finds due, of however many there are.

ANSWERS = 300  #: Requests of a round, each for another workflow.
LOOKS = 30  #: Of a round.

NAME = "bench.wait_for_client"


waiting = WorkflowDefinition(NAME, state=Nothing)


def measure(stage: Stage, rounds: int) -> list[Figure]:
    """Return the figures for one tenant's workflows that all wait for their client's last step."""
    tenant_id, client = _client()
    pairs = [(_look(FEW, tenant_id, client), _look(MANY, tenant_id, client)) for _ in range(rounds)]
    figures = [
        Figure(
            f"`GET` of a workflow with its steps, answered by Django, with {MANY:,} open",
            f"with {FEW} open",
            "ms",
            Goal(1.5, most=True),
            [(few, many) for (few, _), (many, _) in pairs],
        ),
        Figure(
            f"a look for timers: {DUE} due of {MANY:,}, enqueued",
            f"{DUE} due of {FEW}",
            "ms",
            Goal(2, most=True),
            [(few, many) for (_, few), (_, many) in pairs],
        ),
    ]
    _show_plan()
    return figures


def _look(count: int, tenant_id: uuid.UUID, client: Client) -> tuple[float, float]:
    """Return the medians of an answer and of a look at timers, with this many open."""
    ids = _fill(count, tenant_id)
    answers = [_time(partial(_see, client, each)) for each in _spread(ids, ANSWERS)]
    looks = [_time(_sweep, before=_make_due) for _ in range(LOOKS)]
    return median(answers), median(looks)


def _client() -> tuple[uuid.UUID, Client]:
    """Create a tenant, and return its id and a client that shows its token."""
    # WhiteNoise's: nothing is collected here, and nothing static asked for.
    warnings.filterwarnings("ignore", message="No directory at", category=UserWarning)
    owner = User.objects.create_user("bench@offload.example", name="Bench")
    tenant = operations.create_tenant(name="Bench", slug="bench", owner=owner)
    _, token = operations.create_token(
        tenant=tenant,
        user=owner,
        name="bench",
        scopes=Scope.values,
        expires_at=timezone.now() + timedelta(days=1),
    )
    headers = {"Authorization": f"Bearer {token}"}
    return tenant.pk, Client(headers=headers, SERVER_NAME="localhost")


def _fill(count: int, tenant_id: uuid.UUID) -> list[uuid.UUID]:
    """Leave this many open workflows and nothing else, as a database looks after its vacuum."""
    _run("TRUNCATE jobs_workflow CASCADE")
    _forget_jobs()
    workflows = Workflow.objects.bulk_create(
        Workflow(
            id=new_id(),
            name=NAME,
            version=1,
            tenant_id=tenant_id,
            step_number=STEPS,
            step_count=STEPS,
        )
        for _ in range(count)
    )
    WorkflowStep.objects.bulk_create(_steps(workflows), batch_size=5_000)
    WorkflowChange.objects.bulk_create(_changes(workflows), batch_size=5_000)
    later = timezone.now() + timedelta(minutes=30)
    WorkflowTimer.objects.bulk_create(
        WorkflowTimer(workflow=each, name=TIMEOUT, due_at=later) for each in workflows
    )
    _run("VACUUM ANALYZE jobs_workflow, jobs_workflowstep, jobs_workflowtimer")
    return [each.pk for each in workflows]


def _steps(workflows: Iterable[Workflow]) -> Iterable[WorkflowStep]:
    for workflow in workflows:
        for number in range(1, STEPS + 1):
            last = number == STEPS
            yield WorkflowStep(
                workflow=workflow,
                number=number,
                name="bench.step",
                status=StepStatus.WAITING if last else StepStatus.DONE,
                output=None if last else {"number": number},
            )


def _changes(workflows: Iterable[Workflow]) -> Iterable[WorkflowChange]:
    for workflow in workflows:
        for number in range(1, STEPS):
            yield WorkflowChange(
                workflow=workflow,
                status=workflow.status,
                step_number=number,
                what=f"step {number} done",
            )


def _spread(ids: list[uuid.UUID], count: int) -> list[uuid.UUID]:
    """Return so many ids from the whole list; of a short one, each several times."""
    return [ids[number * len(ids) // count] for number in range(count)]


def _see(client: Client, workflow_id: uuid.UUID) -> None:
    answer = client.get(f"/api/v1/workflows/{workflow_id}")
    if answer.status_code != 200 or len(answer.json()["steps"]) != STEPS:
        raise RuntimeError(f"{answer.status_code}: {answer.content!r}")


def _make_due() -> None:
    """Make ten timers due that have no job, as their deadlines would."""
    _forget_jobs()
    some = WorkflowTimer.objects.order_by("-pk").values_list("pk", flat=True)[:DUE]
    WorkflowTimer.objects.filter(pk__in=list(some)).update(due_at=timezone.now(), enqueued_at=None)


def _sweep() -> None:
    if (found := enqueue_due_timers()) != DUE:
        raise RuntimeError(f"It found {found} timers due.")


def _forget_jobs() -> None:
    Job.objects.all().delete()


def _show_plan() -> None:
    """Print how PostgreSQL works the look's own SELECT, with 10,000 timers."""
    _make_due()
    _run("VACUUM ANALYZE jobs_workflowtimer")
    seen: list[tuple[str, Any]] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        _sweep()
    statement, parameters = next(each for each in seen if "FOR UPDATE" in each[0])
    _make_due()
    console = Console(soft_wrap=True, highlight=False, markup=False)
    for (line,) in _run(f"EXPLAIN (ANALYZE, BUFFERS) {statement}", *parameters):
        console.print(line)


def _time(action: Callable[[], None], *, before: Callable[[], None] = lambda: None) -> float:
    """Return how long the action takes, in milliseconds; what comes before it is not counted."""
    before()
    started = time.perf_counter()
    action()
    return (time.perf_counter() - started) * 1000


def _run(statement: str, *parameters: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
        return cursor.fetchall() if cursor.description else []

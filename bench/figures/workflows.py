"""Do 10,000 open workflows slow down the answer for one, or the look for timers that are due?"""

import random
import time
import uuid
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from statistics import median
from typing import Any

from django.db import connection
from django.test import Client
from django.utils import timezone
from rich.console import Console

from bench.rounds import Figure, Goal, in_turns
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

TABLES = ("jobs_workflow", "jobs_workflowstep", "jobs_workflowtimer", "jobs_workflowchange")

#: How many are open in the tables of which schema. Both are there at once, so that each sample
#: of the one has its neighbour of the other: what else the machine does meets both.
SIZES = {"few": FEW, "public": MANY}
COPY = "CREATE SCHEMA few;" + "".join(
    f"CREATE TABLE few.{table} (LIKE public.{table} INCLUDING ALL);" for table in TABLES
)


waiting = WorkflowDefinition(NAME, state=Nothing)


@dataclass(frozen=True)
class Open:
    """The open workflows of a schema."""

    schema: str
    ids: list[uuid.UUID]


def measure(stage: Stage, rounds: int) -> list[Figure]:
    """Return the figures for one tenant's workflows that all wait for their client's last step."""
    tenant_id, client = _client()
    _run(COPY)
    few, many = (Open(schema, _fill(schema, count, tenant_id)) for schema, count in SIZES.items())
    looks = [_round(few, many, client) for _ in range(rounds)]
    figures = [
        Figure(
            f"`GET` of a workflow with its steps, answered by Django, with {MANY:,} open",
            f"with {FEW} open",
            "ms",
            Goal(1.5, most=True),
            [answers for answers, _ in looks],
        ),
        Figure(
            f"a look for timers: {DUE} due of {MANY:,}, enqueued",
            f"{DUE} due of {FEW}",
            "ms",
            Goal(2, most=True),
            [sweeps for _, sweeps in looks],
        ),
    ]
    _show_plan()
    return figures


def _round(few: Open, many: Open, client: Client) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the medians, with few and with many open, of an answer and of a look for timers."""
    _vacuum()
    _forget_jobs()
    answers = in_turns(ANSWERS, *(partial(_time_answer, each, client) for each in (few, many)))
    looks = in_turns(LOOKS, *(partial(_time_look, each) for each in (few, many)))
    return _medians(answers), _medians(looks)


def _medians(table: list[tuple[float, ...]]) -> tuple[float, ...]:
    return tuple(median(column) for column in zip(*table, strict=True))


def _time_answer(which: Open, client: Client) -> float:
    _use(which.schema)
    workflow_id = random.choice(which.ids)
    return _time(lambda: _see(client, workflow_id))


def _time_look(which: Open) -> float:
    _use(which.schema)
    _make_due()
    return _time(_sweep)


def _use(schema: str) -> None:
    """Let the tables of workflows be those of this schema; all others are the same."""
    _run(f"SET search_path TO {schema}, public")


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


def _fill(schema: str, count: int, tenant_id: uuid.UUID) -> list[uuid.UUID]:
    """Store this many open workflows in the tables of this schema, and return their ids."""
    _use(schema)
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


def _vacuum() -> None:
    for schema in SIZES:
        _run(f"VACUUM ANALYZE {', '.join(f'{schema}.{table}' for table in TABLES)}")


def _show_plan() -> None:
    """Print how PostgreSQL works the look's own SELECT, with 10,000 timers."""
    _use("public")
    _make_due()
    _vacuum()
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


def _time(action: Callable[[], None]) -> float:
    """Return how long it takes, in milliseconds."""
    started = time.perf_counter()
    action()
    return (time.perf_counter() - started) * 1000


def _run(statement: str, *parameters: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters or None)
        return cursor.fetchall() if cursor.description else []

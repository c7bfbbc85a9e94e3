"""Workflows for tests of the engine in one process, and how to bring one to where a test begins."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from pydantic import BaseModel, Field

from jobs.engine import lifecycle
from jobs.engine.message import Message
from jobs.models import Job, Workflow, WorkflowChange, WorkflowStep, WorkflowTimer
from jobs.states import JobState
from jobs.workflows import StepRun, TimerRun, WorkflowDefinition, operations, registry
from jobs.workflows.timers import enqueue_due_timers
from tests.deliveries import deliver
from tests.drills import ACME, leave_effect, make_due, take

ASSEMBLE, WAIT = "drills.assemble", "drills.wait"

#: What the named steps and timers do instead of their own. A test sets it by its fixture `acts`.
script: dict[str, Callable[[Any], Any]] = {}


class Assembly(BaseModel):
    parts: int = 3
    total: int = 0
    words: list[str] = Field(default_factory=list)


class Approval(BaseModel):
    amount: int
    word: str = ""


def _act(name: str, run: Any, default: Callable[[], Any]) -> Any:
    return script[name](run) if name in script else default()


assemble = WorkflowDefinition(
    ASSEMBLE,
    state=Assembly,
    over_http=True,
    on_ended=lambda workflow: _act("ended", workflow, lambda: None),
    on_restarted=lambda old, new: _act("restarted", new, lambda: None),
)


@assemble.step("drills.prepare_assembly")
def prepare(run: StepRun[Assembly]) -> Any:
    def default() -> dict[str, int]:
        leave_effect("prepare")
        run.state.total += 1
        return {"parts": run.state.parts}

    return _act("prepare", run, default)


@assemble.long_step("drills.fetch_parts", soft_time_limit=30)
def fetch(run: StepRun[Assembly]) -> Any:
    def default() -> dict[str, int]:
        run.show(1, 2)
        return {"fetched": run.state.parts}

    return _act("fetch", run, default)


def branches(run: StepRun[Assembly]) -> Any:
    return _act("branches", run, lambda: [{"part": part} for part in range(run.state.parts)])


@assemble.parallel_step("drills.convert_part", branches=branches)
def convert(run: StepRun[Assembly]) -> Any:
    return _act("convert", run, lambda: {"converted": run.input["part"]})


@assemble.synchronous_step("drills.approve_assembly", input=Approval)
def approve(run: StepRun[Assembly]) -> Any:
    def default() -> dict[str, int]:
        leave_effect("approve")
        run.state.total += run.input.amount
        run.state.words.append(run.input.word)
        return {"total": run.state.total}

    return _act("approve", run, default)


@assemble.step("drills.close_assembly", max_retries=1)
def close(run: StepRun[Assembly]) -> Any:
    def default() -> dict[str, Any]:
        leave_effect("close")
        run.state.total += 100
        return {"converted": [each["converted"] for each in run.outputs_of(3)]}

    return _act("close", run, default)


@assemble.timer("nudge")
def nudge(run: TimerRun[Assembly]) -> None:
    _act("nudge", run, lambda: leave_effect("nudge"))


#: Waits for somebody to send its only step: for tests of timers.
wait = WorkflowDefinition(WAIT, state=Assembly, version=3)


@wait.synchronous_step("drills.go_on", input=Approval)
def go_on(run: StepRun[Assembly]) -> Any:
    return _act("go on", run, lambda: {"amount": run.input.amount})


@wait.timer("remind")
def remind(run: TimerRun[Assembly]) -> None:
    _act("remind", run, lambda: leave_effect("remind"))


@wait.timer("timeout")
def time_out(run: TimerRun[Assembly]) -> None:
    _act("timeout", run, lambda: leave_effect("timeout"))


for _each in (assemble, wait):
    registry.forget(_each.name)  # Other modules' tests don't see them: `known` does that.


@contextmanager
def known() -> Iterator[dict[str, Callable[[Any], Any]]]:
    """Let the workflows be known inside, and yield what they do instead of their own."""
    for each in (assemble, wait):
        registry.register(each)
    try:
        yield script
    finally:
        script.clear()
        for each in (assemble, wait):
            registry.forget(each.name)


def start(name: str = ASSEMBLE, **options: Any) -> Workflow:
    state = {"parts": options.pop("parts", 3)}
    return operations.start_workflow(name, state, **{"tenant_id": ACME, **options})


def deliver_due() -> list[str]:
    """Deliver what is due now, once; what this enqueues waits for the next call."""
    return [deliver(message) for message in take()]


def reach(number: int, **options: Any) -> Workflow:
    """Start an assembly, and do its steps up to this one: 1 prepare … 5 close."""
    workflow = start(**options)
    while (now := fresh(workflow)).step_number < number:
        if now.step_number == 4:
            approve_with(workflow)
        elif not deliver_due():
            raise AssertionError(f"Nothing is due for {now}, which is at step {now.step_number}.")
    return now


def approve_with(workflow: Workflow, amount: int = 10, **more: Any) -> WorkflowStep:
    """Send step 4."""
    return operations.send_step(
        workflow_id=workflow.pk, number=4, data={"amount": amount, **more}, tenant_id=ACME
    )


def fresh(workflow: Workflow) -> Workflow:
    return Workflow.objects.get(pk=workflow.pk)


def step(workflow: Workflow, number: int, branch: int = 0) -> Any:
    """Return the row of a step, or of a branch of it."""
    return workflow.steps.get(number=number, branch=branch)


def statuses(workflow: Workflow) -> list[str]:
    """Return the status of each step and branch, in order."""
    return list(workflow.steps.order_by("number", "branch").values_list("status", flat=True))


def job_of(workflow: Workflow, number: int, branch: int = 0) -> Job:
    return Job.objects.get(pk=step(workflow, number, branch).job_id)


def history(workflow: Workflow) -> list[str]:
    return list(workflow.changes.order_by("pk").values_list("what", flat=True))


def assert_never_back(workflow: Workflow) -> None:
    """The history tells of no status after a final one, and of no step before an earlier one."""
    changes = list(WorkflowChange.objects.filter(workflow=workflow).order_by("pk"))
    ends = [each.status != "processing" for each in changes]
    assert ends == sorted(ends)
    assert sum(ends) <= 1
    numbers = [each.step_number for each in changes]
    assert numbers == sorted(numbers)


def fail_for_good(job: Job) -> None:
    """Deliver a job, which must fail, until its last attempt is spent."""
    while not Job.objects.get(pk=job.pk).is_settled:
        make_due(job)
        deliver_due()


def moment(**later: float) -> datetime:
    """Return the time that it is, or so much later or, below nought, earlier."""
    return timezone.now() + timedelta(**later)


def timer(workflow: Workflow, name: str) -> Any:
    """Return the timer of this name, or None if it is not set."""
    return workflow.timers.filter(name=name).first()


def set_timer(
    workflow: Workflow, name: str = "remind", due_at: datetime | None = None, **options: Any
) -> datetime:
    """Set a timer, in an hour where nothing else is said, and return when it is due."""
    due_at = due_at or moment(hours=1)
    operations.set_timer(workflow_id=workflow.pk, name=name, due_at=due_at, **options)
    return due_at


def cancel_timer(workflow: Workflow, name: str = "remind", **options: Any) -> None:
    operations.cancel_timer(workflow_id=workflow.pk, name=name, **options)


def timer_job() -> Job:
    """Return the job that fires a timer, of which there must be one."""
    return Job.objects.get(type="workflows.fire_timer")


def let_it_be_due(workflow: Workflow, name: str) -> None:
    """Let the time of a timer have come, as its setting has it."""
    named = WorkflowTimer.objects.filter(workflow=workflow, name=name)
    named.update(due_at=moment(seconds=-1))


def fire(workflow: Workflow, name: str) -> list[str]:
    """Let the time of a timer come, enqueue it, and deliver its job; return what became of it."""
    let_it_be_due(workflow, name)
    enqueue_due_timers()
    return deliver_due()


def live_jobs() -> int:
    return Job.objects.exclude(
        state__in=(JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)
    ).count()


def waits_of(job: Job) -> list[float]:
    """Fail its attempts, and return the seconds that it waited after each but the last."""
    waits: list[float] = []
    while True:
        make_due(job)
        before = moment()
        deliver_due()
        now = Job.objects.get(pk=job.pk)
        if now.is_settled:
            return waits
        waits.append(round((now.run_at - before).total_seconds(), -1))


def fault(_: Any) -> None:
    """Fail after an effect."""
    leave_effect("undone")
    raise RuntimeError("fault")


def die(job: Job, message: Message) -> None:
    """Let a worker claim the job and fall silent, and let recovery put the job back."""
    lifecycle.claim(job.pk, message.dispatch, worker="dies")
    lifecycle.put_back(Job.objects.get(pk=job.pk), "its worker is silent")
    make_due(job)

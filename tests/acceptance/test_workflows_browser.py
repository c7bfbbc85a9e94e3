"""An operator in a real browser: watches a workflow move, cancels one, lets one go on."""

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from playwright.sync_api import Page

from jobs.ids import new_id
from jobs.models import Workflow, WorkflowStep, WorkflowTimer
from tests.acceptance import test_browser as browser
from tests.harness import exporting
from tests.harness.people import ADMIN
from tests.harness.processes import Web
from tests.harness.system import System

page = browser.page  # The fixture.

LIST = "/admin/jobs/workflow/"
WORKFLOWS = "/api/v1/workflows"
ARCHIVE = "workspace.archive_project"

#: What the first step has brought, in the timeline.
OUTPUT = "document.querySelector('[data-cell=timeline] pre')"

#: A safety net for what takes seconds.
MILLISECONDS = 60_000


@pytest.fixture
def web(system: System) -> Web:
    system.relay()
    system.worker()
    return system.web()


@pytest.fixture
def operator(system: System, web: Web, page: Page) -> "Operator":
    browser.sign_in(page, web)
    page.set_default_timeout(MILLISECONDS)
    return Operator(system, web, page)


class Operator:
    """Somebody who looks at workflows that somebody else starts by the API."""

    def __init__(self, system: System, web: Web, page: Page) -> None:
        self.system, self.web, self.page = system, web, page
        self.api = web.client(system.people.acme.token)

    def start_archiving(self, items: int = 3, tenant: str = "acme") -> str:
        """Start one, without a look at how far it is."""
        known = getattr(self.system.people, tenant)
        exporting.add_items(self.system, known.id, items, first=new_number())
        query = "SELECT id FROM workspace_project ORDER BY created_at DESC LIMIT 1"
        project_id = str(self.system.value(query))
        body: dict[str, Any] = {"name": ARCHIVE, "data": {"project_id": project_id}}
        answer = self.web.client(known.token).post(WORKFLOWS, json=body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["workflow_id"])

    def send_decision(self, workflow_id: str) -> None:
        body: dict[str, Any] = {"step_number": 2, "data": {"confirmed": True}}
        answer = self.api.post(f"{WORKFLOWS}/{workflow_id}/steps", json=body)
        assert answer.status_code == 200, answer.text

    def open(self, workflow_id: str) -> None:
        self.page.goto(f"{self.web.url}{LIST}{workflow_id}/change/")

    def wait_for_cell(self, workflow_id: str, name: str, text: str) -> None:
        """Wait until a cell shows a text, without doing anything."""
        cell = self.page.locator(f"[data-row='{workflow_id}'][data-cell={name}]")
        cell.filter(has_text=re.compile(text, re.IGNORECASE)).wait_for()

    def bar(self, workflow_id: str) -> Any:
        cell = f"[data-row='{workflow_id}'][data-cell=progress]"
        return self.page.locator(cell).get_by_role("progressbar")

    def wait_for_bar(self, workflow_id: str, percent: int) -> None:
        cell = f"[data-row='{workflow_id}'][data-cell=progress]"
        self.page.locator(f"{cell} [aria-valuenow='{percent}']").wait_for()


def new_number() -> int:
    """Return where the numbers of items begin that no test has added before."""
    return int(uuid.uuid4().int % 100_000_000)


def remember(page: Page) -> None:
    page.evaluate("window.neverReloaded = true")


def was_reloaded(page: Page) -> bool:
    return not page.evaluate("window.neverReloaded")


def wait_for_poll(page: Page) -> None:
    """Wait for two answers: by the second, the first has been drawn."""
    for _ in range(2):
        with page.expect_response("**/cells?*"):
            pass


def seconds_of(clock: str) -> int:
    """Return what a countdown shows: "29:58" is 1798."""
    minutes, seconds = clock.split(":")
    return 60 * int(minutes) + int(seconds)


class TestAnOperatorOfWorkflows:
    def test_watches_one_wait_and_move_to_its_end(self, operator):
        page = operator.page
        # Given the list, with a workflow that somebody has just started by the API
        workflow_id = operator.start_archiving()
        page.goto(f"{operator.web.url}{LIST}")
        remember(page)

        # When nobody touches the page, then it shows the workflow wait at step 2 of 3
        operator.wait_for_cell(workflow_id, "step", "2 of 3")
        operator.wait_for_bar(workflow_id, 33)

        # And its deadline, in half an hour, comes nearer
        countdown = page.locator("[data-cell=deadline] time")
        before = seconds_of(countdown.inner_text())
        assert 25 * 60 < before <= 30 * 60
        page.wait_for_function(
            "before => document.querySelector('[data-seconds-left]').textContent != before",
            arg=countdown.inner_text(),
        )
        assert seconds_of(countdown.inner_text()) < before

        # When the step is sent by the API, then the bar moves to its end by itself
        operator.send_decision(workflow_id)
        operator.wait_for_bar(workflow_id, 100)
        operator.wait_for_cell(workflow_id, "status", "completed")
        operator.wait_for_cell(workflow_id, "deadline", "-")
        assert not was_reloaded(page)

        # And the poller is silent, for nothing moves any more
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.wait_for_timeout(2_500)
        assert asked == []

    def test_watches_the_steps_of_one(self, operator):
        page = operator.page
        # Given the page of a workflow that waits for a decision
        workflow_id = operator.start_archiving()
        operator.open(workflow_id)
        remember(page)
        operator.wait_for_cell(workflow_id, "timeline", "waits to be sent")

        # When the operator unfolds what a step brought, and the page is drawn again
        output = page.locator("[data-cell=timeline] details", has_text="Output").first
        output.locator("summary").click()
        wait_for_poll(page)

        # Then it is unfolded still
        assert '"items": 3' in output.locator("pre").inner_text()

        # When the operator marks it to copy it, then it stays marked until they let it go
        page.evaluate(f"getSelection().selectAllChildren({OUTPUT})")
        wait_for_poll(page)
        assert '"items": 3' in page.evaluate("getSelection().toString()")
        page.evaluate("getSelection().removeAllRanges()")

        # When the step is sent, then all of the page tells how it went on
        operator.send_decision(workflow_id)
        operator.wait_for_cell(workflow_id, "status", "completed")
        operator.wait_for_cell(workflow_id, "history", "step 3 done")
        operator.wait_for_cell(workflow_id, "timers", "None is set")
        operator.wait_for_cell(workflow_id, "state", '"confirmed": true')
        assert page.locator("[data-cell=timeline]").inner_text().lower().count("done") == 3
        assert not was_reloaded(page)

        # And a step leads to the job that did it
        page.locator("[data-cell=timeline] a", has_text="Job").first.click()
        page.wait_for_url("**/admin/jobs/job/*/change/")
        page.get_by_text("workspace.count_project_items").first.wait_for()

    def test_cancels_one_and_lets_it_go_on_from_a_step(self, operator):
        page = operator.page
        # Given a workflow that waits for a decision
        workflow_id = operator.start_archiving()
        operator.open(workflow_id)
        operator.wait_for_cell(workflow_id, "step", "2 of 3")

        # When the operator moves its deadline, then it has more time
        page.get_by_role("link", name="Move the deadline").click()
        page.locator("[name=minutes]").fill("59")
        page.get_by_role("button", name="Move the deadline").click()
        page.get_by_text("times out at").first.wait_for()
        countdown = page.locator("[data-cell=deadline] time")
        assert 50 * 60 < seconds_of(countdown.inner_text()) <= 59 * 60
        operator.wait_for_cell(workflow_id, "history", f"deadline moved from .* by {ADMIN}")

        # When the operator cancels it and agrees
        page.get_by_role("link", name="Cancel").click()
        page.get_by_role("button", name="Cancel this workflow").click()
        page.get_by_text(f"Cancelled {ARCHIVE} {workflow_id}").first.wait_for()
        operator.wait_for_cell(workflow_id, "status", "cancelled")

        # And lets it go on from the step that it waited at
        page.get_by_role("link", name="Restart from a step").click()
        chosen = page.locator("[name=from_step] option:checked").inner_text()
        assert chosen == "Step 2: workspace.confirm_archiving"
        page.get_by_role("button", name="Restart this workflow").click()
        page.get_by_text("goes on from step 2 as").first.wait_for()

        # Then the new one has the first step's result, waits, and is completed by a decision
        query = "SELECT id FROM jobs_workflow WHERE restart_of_id = %s"
        new = str(operator.system.value(query, workflow_id))
        page.locator(f"a[href='{LIST}{new}/change/']").first.click()
        operator.wait_for_cell(new, "timeline", "kept from the run before")
        operator.wait_for_cell(new, "timeline", "waits to be sent")
        operator.send_decision(new)
        operator.wait_for_bar(new, 100)
        query = "SELECT count(*) FROM workspace_project WHERE archived_at IS NOT NULL"
        assert operator.system.value(query) == 1

    def test_finds_those_of_a_tenant(self, operator):
        page = operator.page
        # Given a workflow of Acme's, and one of Globex's
        ids = {name: operator.start_archiving(tenant=name) for name in ("acme", "globex")}

        def shows(*names: str) -> None:
            page.locator(f"[data-row='{ids[names[0]]}'][data-cell=status]").wait_for()
            shown = [each for each in ids if page.locator(f"[data-row='{ids[each]}']").count()]
            assert shown == list(names)

        # When the operator chooses a tenant in the filter, then only its workflows are shown
        page.goto(f"{operator.web.url}{LIST}")
        shows("acme", "globex")
        page.locator("a", has_text="Filters").first.click()
        page.locator("#changelist-filter").get_by_role("link", name="Globex").click()
        page.wait_for_url("**tenant_id=**")
        shows("globex")

        # And the same by a click on a row's tenant, and by the tenant's name
        page.goto(f"{operator.web.url}{LIST}")
        page.locator("td a", has_text="Acme").click()
        page.wait_for_url("**tenant_id=**")
        shows("acme")
        page.goto(f"{operator.web.url}{LIST}")
        page.locator("[name=q]").fill("glob")
        page.locator("[name=q]").press("Enter")
        page.wait_for_url("**q=glob**")
        shows("globex")


class TestPictures:
    __test__ = bool(browser.SCREENSHOTS)  # Not collected otherwise: it takes pictures.

    # In this order: with the page comes an event loop, and Django's models work no more.
    def test_show_workflows_in_their_states(self, system, web, variety, operator):
        page = operator.page
        page.goto(f"{web.url}{LIST}")
        page.wait_for_timeout(1_500)
        browser.take_picture(page, "workflows")
        operator.open(variety)
        page.locator("[data-cell=timeline] summary", has_text="Branches").click()
        page.wait_for_timeout(1_500)
        browser.take_picture(page, "workflow")

    @pytest.fixture
    def variety(self, system: System) -> str:
        """Leave workflows in every status, and return the id of one with many branches."""
        with system.orm(), transaction.atomic():
            for number, (tenant, status, step) in enumerate(STATES):
                leave(getattr(system.people, tenant).id, status, step, minutes=90 - 7 * number)
            return str(leave_parallel(system.people.acme.id).pk)


#: Of the pictures' workflows: the tenant, the status, the step at which it is.
STATES = (
    ("globex", "completed", 4), ("acme", "completed", 4), ("globex", "failed", 3),
    ("acme", "timeout", 2), ("acme", "cancelled", 2), ("globex", "processing", 2),
    ("acme", "processing", 2),
)  # fmt: skip
NAMES = {1: "workspace.count_project_items", 2: "workspace.confirm_archiving",
         3: "workspace.archive_one_project"}  # fmt: skip


def leave(tenant_id: str, status: str, step: int, *, minutes: int) -> Workflow:
    """Leave one that was started so many minutes ago, with its steps."""
    at = timezone.now() - timedelta(minutes=minutes)
    live = status == "processing"
    workflow = Workflow.objects.create(
        name=ARCHIVE, version=1, tenant_id=tenant_id, step_count=3, step_number=step,
        status=status, percent=100 * (step - 1) // 3, created_at=at,
        ended_at=None if live else at + timedelta(minutes=6),
    )  # fmt: skip
    if live:
        due_at = timezone.now() + timedelta(minutes=33 - minutes / 3)
        WorkflowTimer.objects.create(workflow=workflow, name="timeout", due_at=due_at)
    return workflow


def leave_parallel(tenant_id: str) -> Workflow:
    """Leave an export in parts, in the middle of its third step."""
    now = timezone.now()
    workflow = Workflow.objects.create(
        pk=new_id(), name="exports.export_in_parts", version=1, tenant_id=tenant_id,
        step_count=5, step_number=2, percent=27, created_at=now - timedelta(seconds=95),
        initial_state={"dataset": "items"}, state={"dataset": "items", "parts": 8},
    )  # fmt: skip
    due_at = now + timedelta(minutes=28)
    WorkflowTimer.objects.create(workflow=workflow, name="timeout", due_at=due_at)
    leave_step(workflow, 1, "exports.plan_parts", "done", 95, 93, 88, output={"parts": 8})
    for branch in range(8):
        status = "done" if branch < 3 else "running" if branch < 5 else "waiting"
        begun = 86 - 17 * (branch // 2)
        leave_step(
            workflow, 2, "exports.write_part", status, 88,
            begun if status != "waiting" else None, begun - 15 - 2 * (branch % 2)
            if status == "done" else None, branch=branch,
            output={"rows": 125_000} if status == "done" else None,
            progress_done=48_000 if status == "running" else 0, progress_total=125_000,
        )  # fmt: skip
    workflow.changes.create(status="processing", step_number=1, what="started")
    workflow.changes.create(status="processing", step_number=1, what="step 1 done")
    return workflow


def leave_step(
    workflow: Workflow,
    number: int,
    name: str,
    status: str,
    waited: float,
    began: float | None,
    ended: float | None,
    **columns: Any,
) -> None:
    """Leave a step whose times are so many seconds ago."""
    ago = [None if each is None else timezone.now() - timedelta(seconds=each)
           for each in (waited, began, ended)]  # fmt: skip
    times = dict(zip(("created_at", "started_at", "ended_at"), ago, strict=True))
    columns |= {"number": number, "name": name, "status": status, "job_id": uuid.uuid4(), **times}
    WorkflowStep.objects.create(workflow=workflow, attempts=began is not None, **columns)

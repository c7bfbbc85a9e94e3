"""An operator in a real browser: signs in, requests an export, watches it, fetches its file."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone
from django_celery_beat.models import PeriodicTask
from playwright.sync_api import Page

from exports import operations
from exports.models import Export
from jobs import enqueue
from jobs.models import Job, Slot
from jobs.schedules.operations import pause_schedule
from tests.harness import exporting, ledger
from tests.harness.browser import open_page
from tests.harness.people import ADMIN, PASSWORD
from tests.harness.processes import Web
from tests.harness.system import System
from tests.harness.variables import CHECKOUT

ROWS = 60_000
IMAGES = CHECKOUT / "docs" / "images"

#: What the pictures' slots came to, by the signs of the admin.
OUTCOMES = {"O": "overlap", "P": "pause", "M": "policy", "✗": "failed"}
STATES = {"✓": "succeeded", "✗": "failed"}
PASTS = {"daily_cleanup": "✓✓✓✓MM✓✓✓✓✗✓✓✓✓✓", "health_check": "✓✓✓✓OO✓✓✓✓✓✓✓PPP✓✓✓✓"}

#: `make screenshots` sets it.
SCREENSHOTS = os.environ.get("SCREENSHOTS", "")


@pytest.fixture
def web(system: System) -> Web:
    """A product whose exports last long enough to be watched."""
    system.env |= {
        "JOBS_EXTRA_TASK_MODULES": "tests.harness.slow_stores",
        "JOBS_RETRIES_MAX": "0",  # What fails in a picture has failed.
    }
    exporting.add_items(system, system.people.acme.id, ROWS)
    system.relay()
    system.worker()
    return system.web()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with open_page(tmp_path / "profile", width=1440, height=900) as page:
        yield page


@pytest.fixture
def variety(system: System, web: Web) -> None:
    """Leave exports that have completed, failed and been cancelled."""
    acme, globex = (web.client(one.token) for one in (system.people.acme, system.people.globex))
    exporting.add_items(system, system.people.globex.id, 12_345)
    for client, dataset, format in (
        (acme, "projects", "json"),
        (globex, "items", "csv"),
        (globex, "items", "json"),
        (acme, "items", "csv"),
    ):
        accepted = exporting.request_export(client, dataset=dataset, format=format)
        exporting.wait_for_export(client, accepted["export_id"])
    broken = request_unknown_dataset(system)
    stopped = exporting.request_export(acme, format="json")
    acme.post(f"{exporting.EXPORTS}/{stopped['export_id']}/cancel")
    exporting.wait_for_export(globex, broken, status="failed")


@pytest.fixture
def dead(system: System, web: Web) -> None:
    """Leave an export that has failed, and its dead letter."""
    broken = request_unknown_dataset(system)
    client = web.client(system.people.globex.token)
    exporting.wait_for_export(client, broken, status="failed")
    wait_for_dead_letter(system)


@pytest.fixture
def schedules(system: System, web: Web) -> None:
    """The product's own schedules, and a beat that looks at them."""
    system.run("sync_schedules")
    system.beat()
    query = "SELECT COUNT(*) > 0 FROM jobs_process WHERE kind = 'beat'"
    system.wait_for(lambda: system.value(query), seconds=30, what="beat has ticked")


@pytest.fixture
def past_slots(system: System, schedules: None) -> None:
    """Leave slots that ended in many ways, and a schedule that is paused."""
    with system.orm():
        for schedule in PeriodicTask.objects.all():
            leave_slots(schedule, PASTS.get(schedule.name, "✓" * 20))
        until = timezone.now() + timedelta(days=2)
        paused = PeriodicTask.objects.get(name="daily_cleanup")
        pause_schedule(schedule_id=paused.pk, until=until, by=ADMIN)
        call_command("trigger_schedule", "health_check")


def sign_in(page: Page, web: Web) -> None:
    page.goto(f"{web.url}/admin/")
    page.locator("[name=username]").fill(ADMIN)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("[type=submit]").click()
    page.wait_for_url("**/admin/")


def choose_tenant(page: Page, name: str) -> None:
    """Choose in the box that searches as its user types."""
    page.locator(".select2-selection").first.click()
    page.locator(".select2-search__field").fill(name)
    page.locator(".select2-results__option", has_text=name).first.click()


def watch_bar(page: Page) -> list[int]:
    """Return the values that the newest export's bar shows, until it is full."""
    bar = page.get_by_role("progressbar").first
    seen: list[int] = []
    while not seen or seen[-1] < 100:
        value = int(bar.get_attribute("aria-valuenow") or 0)
        if not seen or value != seen[-1]:
            seen.append(value)
        page.wait_for_timeout(50)
    return seen


class TestAnOperator:
    def test_requests_an_export_and_watches_it_to_its_file(self, system, web, page, tmp_path):
        # Given an operator who signs in to the admin
        sign_in(page, web)

        # When they request an export for a tenant
        page.goto(f"{web.url}/admin/exports/export/add/")
        choose_tenant(page, "Acme")
        page.locator("[name=dataset_name]").select_option("items")
        page.locator("[name=format]").select_option("csv")
        page.locator("[name=_save]").click()
        page.wait_for_url("**/admin/exports/export/")
        page.evaluate("window.neverReloaded = true")

        # Then the bar of its row moves while they look, and the page is not loaded again
        seen = watch_bar(page)
        assert len(seen) > 2
        assert seen == sorted(seen)
        assert seen[-1] == 100
        assert page.evaluate("window.neverReloaded")
        assert "completed" in page.locator("[data-cell=status]").first.inner_text().lower()

        # And the file that they download is the one that the ledger knows
        page.locator("tbody th a").first.click()
        with page.expect_download() as download:
            page.get_by_role("link", name="Download").first.click()
        content = download.value.path().read_bytes()
        [export] = system.rows("SELECT * FROM exports_export")
        assert exporting.digest(content) == export["sha256"]
        assert download.value.suggested_filename == "items.csv"

        # And the page of jobs shows the job that made it
        page.goto(f"{web.url}/admin/jobs/job/")
        assert str(export["job_id"]) in page.content()
        assert ledger.outcomes(system, export["job_id"]) == ["succeeded"]


class TestAnOperatorOfTheDead:
    # In this order: with the page comes an event loop, and Django's models work no more.
    def test_finds_what_died_and_replays_it(self, system, web, dead, page):
        # Given an export that a release can't do any more, in the admin as a dead letter
        sign_in(page, web)
        page.goto(f"{web.url}/admin/jobs/deadletter/")
        page.get_by_text("Replay all 1 that match").wait_for()

        # When the operator looks at it, reads why, and replays it
        page.locator("tbody a", has_text="exports.export_data").first.click()
        page.get_by_text("orders").first.wait_for()
        page.locator("a[href*='/replay']").first.click()
        page.get_by_role("button", name="Replay 1 dead letter").click()
        page.wait_for_url("**/change/")

        # Then it runs again as a new job, and is open no more
        page.get_by_text("runs again as job").first.wait_for()
        page.goto(f"{web.url}/admin/jobs/deadletter/?state=replayed")
        assert "exports.export_data" in page.content()
        assert system.value("SELECT COUNT(*) FROM jobs_job WHERE replay_of_id IS NOT NULL") == 1


class TestAnOperatorOfSchedules:
    def test_runs_one_now_and_sees_its_job_succeed(self, system, web, schedules, page):
        # Given the list of schedules, which says that beat is there
        sign_in(page, web)
        page.goto(f"{web.url}/admin/django_celery_beat/periodictask/")
        page.get_by_text("Beat: last tick").wait_for()

        # When the operator opens one, presses "Run now" and agrees
        page.get_by_role("link", name="aggregate_metrics").first.click()
        page.get_by_role("link", name="Run now").click()
        page.get_by_role("button", name="Run this schedule now").click()
        page.get_by_text("runs now as job").first.wait_for()

        # Then its job succeeds, and the strip of the last slots shows it
        cell = page.locator("a[aria-label*='job succeeded']")
        for _ in range(100):
            if cell.count():
                break
            page.wait_for_timeout(200)
            page.reload()
        assert cell.inner_text() == "✓"
        assert f"by {ADMIN}" in str(cell.get_attribute("title"))
        [slot] = system.rows("SELECT * FROM jobs_slot WHERE asked_by != ''")
        assert ledger.outcomes(system, slot["job_id"]) == ["succeeded"]

        # And the cell leads to that job
        cell.click()
        page.wait_for_url(f"**/admin/jobs/job/{slot['job_id']}/change/")


class TestPictures:
    __test__ = bool(SCREENSHOTS)  # Not collected otherwise: it shows nothing, it takes pictures.

    # Django's models can't be used any more once the page is there: it runs an event loop.
    def test_show_exports_and_jobs_in_all_their_states(self, system, web, variety, page):
        sign_in(page, web)
        exporting.request_export(web.client(system.people.acme.token))
        page.goto(f"{web.url}/admin/exports/export/")
        page.wait_for_function(
            "() => document.querySelector('[role=progressbar]').ariaValueNow > 30"
        )
        take_picture(page, "exports")
        page.goto(f"{web.url}/admin/jobs/job/")
        take_picture(page, "jobs")
        for _ in range(3):
            system.queues.publish("jobs.x", b"\xff", headers={"task": "tests.garbage", "id": "x"})
        wait_for_dead_letter(system, count=4)
        page.goto(f"{web.url}/admin/jobs/deadletter/")
        take_picture(page, "dead-letters")

    def test_show_schedules(self, system, web, past_slots, page):
        sign_in(page, web)
        page.goto(f"{web.url}/admin/django_celery_beat/periodictask/")
        take_picture(page, "schedules")


def request_unknown_dataset(system: System) -> str:
    """Leave an export of a dataset that a later release no longer has."""
    with system.orm(), transaction.atomic():
        export = operations.request_export(
            tenant_id=UUID(system.people.globex.id), user_id=None, dataset="items", format="csv"
        )
        Export.objects.filter(pk=export.pk).update(dataset="orders")
    return str(export.pk)


def wait_for_dead_letter(system: System, count: int = 1) -> None:
    query = "SELECT COUNT(*) >= %s FROM jobs_deadletter"
    system.wait_for(lambda: system.value(query, count), seconds=60, what="it was stored")


def leave_slots(schedule: PeriodicTask, past: str) -> None:
    """Leave a slot for each sign of `past`, oldest first, an hour apart, with its job."""
    for age, sign in enumerate(reversed(past), start=1):
        at = timezone.now() - timedelta(hours=age)
        values = {"schedule_name": schedule.name, "at": at, "decided_at": at}
        with transaction.atomic():  # So that no relay sees the jobs while they are due.
            slot = Slot(schedule=schedule, outcome=OUTCOMES.get(sign, "ran"), **values)
            if sign in STATES:
                slot.job = enqueue(schedule.task, {}, slot_id=slot.pk)
                times = {"started_at": at, "settled_at": at + timedelta(seconds=age % 3 + 1)}
                Job.objects.filter(pk=slot.job.pk).update(state=STATES[sign], **times)
            slot.save(force_insert=True)


def take_picture(page: Page, name: str) -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=IMAGES / f"admin-{name}.png")

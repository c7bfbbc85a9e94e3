"""An operator on a telephone: every page fits, and no text of a page is cut."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from playwright.sync_api import Page

from exports.models import Export
from jobs import enqueue
from jobs.ids import new_id
from jobs.models import Attempt, Job
from notifications.models import DeliveryAttempt, Notification, WebhookDelivery, WebhookEndpoint
from notifications.operations.deliveries import store
from notifications.operations.mails import request_mail
from project.accounts.models import Tenant
from tests.acceptance import test_browser as browser
from tests.acceptance.test_workflows_browser import leave_parallel
from tests.harness.browser import open_page
from tests.harness.processes import Web
from tests.harness.system import System

#: In pixels: a telephone, and a small window of a desk.
WIDTHS = (390, 1300)

ERROR = "The receiver answered 503 (Service Unavailable) and asked to be left alone for a while."

#: By how many pixels a page is wider than its window.
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

#: The texts that lie where no scrolling leads to: beyond the page, or a box that cuts them.
CUT = """() => {
    const VISIBLE = {visibilityProperty: true};
    const bounds = text => {
        for (let box = text.parentElement; box; box = box.parentElement) {
            const style = getComputedStyle(box);
            if (style.textOverflow === "ellipsis" || style.position === "fixed") return null;
            if (style.overflowX === "visible") continue;
            const edge = box.getBoundingClientRect();
            if (style.overflowX === "hidden") return [edge.left, edge.right];
            return [edge.left - box.scrollLeft, edge.left - box.scrollLeft + box.scrollWidth];
        }
        return [0, innerWidth];
    };
    const isCut = text => {
        const range = document.createRange(), between = bounds(text);
        range.selectNodeContents(text);
        const cell = text.parentElement.closest("td")?.getBoundingClientRect();
        return between && [...range.getClientRects()].some(each =>
            each.left < between[0] - 1 || each.right > between[1] + 1
            || (cell && (each.top < cell.top - 1 || each.bottom > cell.bottom + 1)));
    };
    const cut = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode;
        if (!text.data.trim() || !text.parentElement.checkVisibility(VISIBLE)) continue;
        if (isCut(text)) cut.push(text.data.trim());
    }
    return cut;
}"""


@pytest.fixture
def web(system: System) -> Web:
    return system.web()


@pytest.fixture
def addresses(system: System) -> list[str]:
    """Leave a row of each kind, with contents that are long, and return the pages to look at."""
    with system.orm(), transaction.atomic():
        acme = Tenant.objects.get(pk=system.people.acme.id)
        endpoint, job = leave_endpoint(acme), leave_job()
        delivery, deep = leave_delivery(endpoint), leave_deep_delivery(endpoint)
        mail = leave_mail(acme)
        export = Export.objects.create(
            tenant=acme, dataset="items", format="csv", job=job, sha256="ab" * 32, error=ERROR
        )
        workflow = leave_parallel(str(acme.pk))
    rows = (endpoint, delivery, mail, job, workflow, export)
    return [
        *(address for row in rows for address in (folder_of(row), page_of(row))),
        page_of(deep),
        page_of(mail, "cancel"),
        f"{folder_of(endpoint)}add/",
        f"{folder_of(export)}add/",
        f"{folder_of(delivery)}resend-matching/?endpoint={endpoint.pk}",
    ]


def folder_of(row: Any) -> str:
    return f"/admin/{row._meta.app_label}/{row._meta.model_name}/"


def page_of(row: Any, action: str = "change") -> str:
    return f"{folder_of(row)}{row.pk}/{action}/"


def leave_endpoint(tenant: Tenant) -> WebhookEndpoint:
    return WebhookEndpoint.objects.create(
        tenant=tenant,
        url=f"https://hooks.example/{'a' * 200}",
        description="The lamp shop",
        event_types=["export.failed", "workflow.timed_out"],
        secret="whsec_bm90aGluZyB0aGF0IGFueWJvZHkga25vd3M=",
    )


def leave_delivery(endpoint: WebhookEndpoint) -> WebhookDelivery:
    """Leave one that was attempted, with a body that has nowhere to break."""
    body = json.dumps({"type": "lamp.lit", "data": {"token": "x" * 300}})
    delivery = store(endpoint, event_type="lamp.lit", body=body, user_id=None)
    excerpt = f"<html>{'busy ' * 40}{'y' * 100}</html>"
    assert delivery.job_id
    for number in (1, 2):
        DeliveryAttempt.objects.create(
            delivery=delivery, number=number, job_id=delivery.job_id, status_code=503,
            latency_ms=1_234, error=ERROR, excerpt=excerpt,
        )  # fmt: skip
    return delivery


def leave_deep_delivery(endpoint: WebhookEndpoint) -> WebhookDelivery:
    return store(endpoint, event_type="lamp.lit", body="[" * 850 + "]" * 850, user_id=None)


def leave_mail(tenant: Tenant) -> Notification:
    return request_mail(
        tenant_id=tenant.pk,
        user_id=None,
        email=f"{'ann' * 20}@example.com",
        subject="Your lamps " * 15,
        html="Lit",
    )


def leave_job() -> Job:
    """Leave one with an attempt that ended in a long error."""
    job = enqueue("exports.export_data", {"export_id": str(new_id())})
    Attempt.objects.create(
        job=job, attempt=1, dispatch=1, started_at=timezone.now(), outcome="failed",
        error_type="OSError", error_message=ERROR, traceback=f"Traceback {'z' * 300}",
    )  # fmt: skip
    return job


class TestPages:
    def test_fit_and_cut_nothing(self, web, addresses, tmp_path):
        for width in WIDTHS:
            with open_page(tmp_path / f"profile-{width}", width=width, height=844) as page:
                browser.sign_in(page, web)
                for number, address in enumerate(addresses):
                    look(page, f"{web.url}{address}", tmp_path / f"{width}-{number:02}.png")


def look(page: Page, address: str, picture: Path) -> None:
    """Leave a picture, for whoever asks why this fails."""
    answer = page.goto(address)
    page.screenshot(path=picture, full_page=True)
    assert answer is not None
    assert answer.ok, address
    assert (page.evaluate(OVERFLOW), page.evaluate(CUT)) == (0, []), (address, picture)

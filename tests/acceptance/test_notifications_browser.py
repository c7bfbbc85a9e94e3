"""An operator in a real browser: creates a webhook endpoint, tests it, and sees what came of it."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page
from standardwebhooks import Webhook

from tests.acceptance import test_browser as browser
from tests.harness import notifying
from tests.harness.processes import Web
from tests.harness.system import System
from tests.webhook_receiver import Scripted, WebhookReceiver, webhook_receiver

page = browser.page  # The fixture.

ADMIN = "/admin/notifications"
HOSTILE = b"<script>document.title = 'taken over'</script> Thank you."


@pytest.fixture
def web(system: System) -> Web:
    system.env |= notifying.SENDING
    system.relay()
    system.worker()
    return system.web()


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    """One that is busy at first, and answers with what no page may run."""
    with webhook_receiver(answers=[503], default=Scripted(200, body=HOSTILE)) as receiver:
        yield receiver


def create_endpoint(page: Page, web: Web, url: str, description: str) -> str:
    """Fill in the form and return the secret that is shown once."""
    page.goto(f"{web.url}{ADMIN}/webhookendpoint/add/")
    browser.choose_tenant(page, "Acme")
    page.locator("[name=url]").fill(url)
    page.locator("[name=known_types][value='*']").check()
    page.locator("[name=own_types]").fill("lamp.lit")
    page.locator("[name=description]").fill(description)
    page.locator("[name=_save]").click()
    page.wait_for_url(f"**{ADMIN}/webhookendpoint/")
    shown = page.get_by_text("Copy the secret now").first.inner_text()
    return shown.rpartition(" ")[2]


def wait_for_deliveries(system: System, status: str, count: int = 1) -> None:
    query = "SELECT COUNT(*) FROM notifications_webhookdelivery WHERE status = %s"
    what = f"{count} are {status}"
    system.wait_for(
        lambda: system.value(query, status) >= count, seconds=notifying.SECONDS, what=what
    )


class TestAnOperatorOfWebhooks:
    def test_creates_an_endpoint_and_sees_its_test_arrive(self, system, web, receiver, page):
        # Given an operator who creates an endpoint, and copies its secret
        browser.sign_in(page, web)
        secret = create_endpoint(page, web, receiver.url, "The lamp shop")

        # When they send it a test
        page.get_by_role("link", name="The lamp shop").first.click()
        assert secret not in page.content()
        page.get_by_role("link", name="Send a test").click()
        page.get_by_role("button", name="Send a test").click()
        page.get_by_text("A test is on its way to The lamp shop").first.wait_for()

        # Then it arrives at the second attempt, signed with that secret
        wait_for_deliveries(system, "delivered")
        assert len(receiver.requests) == 2
        arrived = receiver.requests[-1]
        assert Webhook(secret).verify(arrived.body, arrived.headers)["type"] == "endpoint.tested"

        # And the page of its delivery shows both attempts, and the answer as text
        page.get_by_role("link", name="See them").click()
        page.get_by_role("link", name="endpoint.tested").first.click()
        page.get_by_text("The receiver answered 503").first.wait_for()
        assert HOSTILE.decode() in page.locator("body").inner_text()
        assert "taken over" not in page.title()
        assert json.loads(page.locator("pre").first.inner_text())["type"] == "endpoint.tested"

    def test_sends_all_again_that_match(self, system, web, receiver, page):
        # Given an endpoint with two deliveries
        browser.sign_in(page, web)
        create_endpoint(page, web, receiver.url, "The lamp shop")
        for _ in range(2):
            page.goto(f"{web.url}{ADMIN}/webhookendpoint/")
            page.get_by_role("link", name="The lamp shop").first.click()
            page.get_by_role("link", name="Send a test").click()
            page.get_by_role("button", name="Send a test").click()
        wait_for_deliveries(system, "delivered", 2)
        before = {each.headers["webhook-id"] for each in receiver.requests}

        # When the operator asks for all again that arrived, and agrees to their number
        page.get_by_role("link", name="See them").click()
        page.get_by_role("link", name="Send all that match again").click()
        page.locator("[name=status]").select_option("delivered")
        page.get_by_role("button", name="Count what matches").click()
        page.get_by_role("button", name="Send 2 again").click()
        page.get_by_text("sends 2 deliveries to The lamp shop again").first.wait_for()

        # Then they arrive once more, with the ids that they have
        system.wait_for(
            lambda: len(receiver.requests) >= 5, seconds=notifying.SECONDS, what="both came again"
        )
        assert {each.headers["webhook-id"] for each in receiver.requests} == before


class TestPictures:
    __test__ = bool(browser.SCREENSHOTS)  # Not collected otherwise: it takes pictures.

    def test_show_endpoints_in_their_states(self, system, web, receiver, page):
        browser.sign_in(page, web)
        shops = ("The lamp shop", "The warehouse", "The bookkeeper", "Nobody's any more")
        for shop in shops:
            create_endpoint(page, web, receiver.url, shop)
        page.get_by_role("link", name="The lamp shop").first.click()
        page.get_by_role("link", name="Send a test").click()
        page.get_by_role("button", name="Send a test").click()
        wait_for_deliveries(system, "delivered")
        update = "UPDATE notifications_webhookendpoint SET"
        system.rows(
            f"{update} open_until = now() + interval '7 minutes', failures_in_a_row = 6 "
            "WHERE description = 'The warehouse'"
        )
        system.rows(
            f"{update} enabled = false, disabled_reason = 'the receiver answered 410 Gone' "
            "WHERE description LIKE 'Nobody%'"
        )
        page.goto(f"{web.url}{ADMIN}/webhookendpoint/")
        browser.take_picture(page, "webhooks")

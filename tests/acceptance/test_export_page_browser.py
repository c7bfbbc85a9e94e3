"""The mail of an export in a real browser: from its link, by the sign-in, to the file."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.harness import exporting
from tests.harness.browser import open_page
from tests.harness.people import PASSWORD
from tests.harness.processes import Web
from tests.harness.system import System

LINK = re.compile(r'href="[^"]+(/exports/[0-9a-f-]{36}/)"')

#: A folder for pictures, if somebody wants to look at the pages.
PICTURES = os.environ.get("EXPORT_PICTURES", "")


@pytest.fixture
def web(system: System) -> Web:
    """A product whose workers have the mails as files."""
    exporting.add_items(system, system.people.acme.id, 1_234)
    system.relay()
    system.worker()
    return system.web()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with open_page(tmp_path / "profile", width=390, height=844) as page:
        yield page


def read_link(system: System) -> str:
    """Return where the mail's link leads to, in this test's product."""
    folder = system.directory / "mail"
    [file] = system.wait_for(lambda: list(folder.glob("*")), seconds=60, what="the mail was sent")
    found = system.wait_for(
        lambda: LINK.findall(file.read_text().replace("=\n", "").replace("=3D", "=")),
        seconds=60,
        what="it was written",
    )
    return str(found[0])


def sign_in(page: Page, email: str) -> None:
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def take_picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


class TestAPersonWithTheMailOfAnExport:
    def test_signs_in_by_its_link_and_has_the_file(self, system, web, page, tmp_path):
        # Given the mail of an export, on a phone where nobody is signed in
        acme = web.client(system.people.acme.token)
        accepted = exporting.request_export(acme)
        exported = exporting.wait_for_export(acme, accepted["export_id"])
        link = read_link(system)

        # When its link is opened, then the page comes after the sign-in
        page.goto(web.url + link)
        sign_in(page, system.people.acme.owner)
        page.wait_for_url(web.url + link)
        page.get_by_role("heading", name="items.csv").wait_for()
        assert page.get_by_text("1,234").is_visible()
        take_picture(page, "export")

        # And its button has the whole file
        with page.expect_download() as downloading:
            page.get_by_role("button", name="Download").click()
        path = tmp_path / downloading.value.suggested_filename
        downloading.value.save_as(path)
        assert path.name == "items.csv"
        assert exporting.digest(path.read_bytes()) == exported["sha256"]

        # And somebody of another tenant learns nothing of it
        page.context.clear_cookies()
        page.goto(web.url + link)
        sign_in(page, system.people.globex.owner)
        page.get_by_role("heading", name="No export").wait_for()
        assert page.get_by_text("items.csv").count() == 0
        take_picture(page, "export-missing")

    def test_sees_how_one_stands_that_has_no_file(self, system, web, page):
        # Given an export that was cancelled, and another that nobody has begun
        acme = web.client(system.people.acme.token)
        for process in system.processes:
            if process is not web:
                process.terminate()
        accepted = [exporting.request_export(acme)["export_id"] for _ in range(2)]
        acme.post(f"{exporting.EXPORTS}/{accepted[0]}/cancel")

        # When somebody looks at them, then each page says so
        page.goto(f"{web.url}/exports/{accepted[0]}")
        sign_in(page, system.people.acme.owner)
        page.get_by_text("It was cancelled").wait_for()
        take_picture(page, "export-cancelled")
        page.goto(f"{web.url}/exports/{accepted[1]}/download")
        page.get_by_text("It waits for its turn").wait_for()
        take_picture(page, "export-queued")

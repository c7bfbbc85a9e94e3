"""An invitation in a real browser: from the link of a mail file to a member of the tenant."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request

from tests.harness.browser import open_page
from tests.harness.people import PASSWORD
from tests.harness.processes import Web
from tests.harness.system import System

BOB = "bob@acme.example"
TOKEN = re.compile(r"inv_[\w-]{43}")

#: A folder for pictures, if somebody wants to look at the pages.
PICTURES = os.environ.get("INVITATION_PICTURES", "")


@pytest.fixture
def web(system: System) -> Web:
    """A product whose workers have the mails as files."""
    system.relay()
    system.worker()
    return system.web()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with open_page(tmp_path / "profile", width=900, height=900) as page:
        yield page


def invite(web: Web, system: System) -> str:
    """Invite Bob and return the token that his mail has."""
    acme = web.client(system.people.acme.token)
    answer = acme.post("/api/v1/invitations", json={"email": BOB, "role": "admin"})
    assert answer.status_code == 202, answer.text
    folder = system.directory / "mail"
    [file] = system.wait_for(lambda: list(folder.glob("*")), seconds=60, what="the mail was sent")
    found = system.wait_for(
        lambda: TOKEN.findall(file.read_text().replace("=\n", "").replace("=3D", "=")),
        seconds=60,
        what="it was written",
    )
    return str(found[0])


def take_picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


class TestAPersonWhoIsInvited:
    def test_joins_by_the_link_and_chooses_their_mails(self, system, web, page):
        # Given the link in Bob's mail, whom nobody knows yet
        token = invite(web, system)
        requests: list[Request] = []
        page.on("request", lambda request: requests.append(request))

        # When he opens it, chooses a password that is too weak, and then a better one
        page.goto(f"{web.url}/invitations/accept?token={token}")
        page.get_by_role("heading", name="Join Acme").wait_for()
        take_picture(page, "invitation")
        page.get_by_label("Name").fill("Bob Jones")
        page.get_by_label("Password").fill("short")
        page.get_by_role("button", name="Join").click()
        page.get_by_text("too short").wait_for()
        take_picture(page, "invitation-refused-password")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Join").click()

        # Then he is signed in, at home, and works for the tenant
        page.wait_for_url(f"{web.url}/")
        page.get_by_text("You are a member of Acme now.").wait_for()
        assert page.get_by_text("Active").is_visible()
        query = (
            "SELECT role FROM accounts_membership m JOIN accounts_user u ON u.id = m.user_id "
            "WHERE u.email = %s"
        )
        assert system.value(query, BOB) == "admin"

        # And unticks a box, which stays so
        page.get_by_label("An export has failed").uncheck()
        page.get_by_role("button", name="Save").click()
        page.get_by_text("Saved which mails you get.").wait_for()
        assert not page.get_by_label("An export has failed").is_checked()
        assert page.get_by_label("An export is ready to be downloaded").is_checked()
        take_picture(page, "home")

        # And the link was told to nobody: no Referer, no other address, no log has the token
        assert len(requests) > 3
        assert not [each.url for each in requests[1:] if token in each.url]
        assert {each.all_headers().get("referer") for each in requests} == {None, f"{web.url}/"}
        assert not [one.name for one in system.processes if token in one.log_text()]

        # And it is worth nothing to the next one
        page.get_by_role("button", name="Sign out").click()
        page.goto(f"{web.url}/invitations/accept?token={token}")
        page.get_by_role("heading", name="No invitation").wait_for()
        take_picture(page, "invitation-refused")

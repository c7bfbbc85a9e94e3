"""The real browser of the tests that look at pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from project.services import NotInstalled
from project.services.programs import browser_program
from tests.harness.plugin import lack

QUIET = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@contextmanager
def open_page(profile: Path, *, width: int, height: int) -> Iterator[Page]:
    """Open a page of a headless Chromium with a profile of its own, which stays on loopback."""
    try:
        program = browser_program()
    except NotInstalled as missing:
        lack(str(missing))
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=program,
            args=QUIET,
            viewport={"width": width, "height": height},
        )
        try:
            yield context.new_page()
        finally:
            context.close()

"""
Prepares the settings before Django reads them; loaded by `-p` in pyproject.toml, before conftest.

A run of unit tests alone uses SQLite and needs nothing installed. Any other run uses PostgreSQL
for all its tests. The servers start when the first test asks for them.
"""

import os
from pathlib import Path

import pytest

from project.services import NotInstalled
from tests.harness import environment
from tests.harness.servers import Servers

SERVERS = pytest.StashKey[Servers]()
MISSING = pytest.StashKey[str]()
TESTS = Path(__file__).resolve().parents[1]
FOLDERS = ("acceptance", "integration", "unit")  #: Those that last before those that don't.


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    servers = early_config.stash[SERVERS] = Servers()
    named = early_config.known_args_namespace.file_or_dir
    database_url = f"sqlite:///{servers.directory / 'unit.sqlite3'}"
    if not named or not all(_is_unit_test(word) for word in named):
        try:
            database_url = servers.database_url
        except NotInstalled as fault:
            early_config.stash[MISSING] = str(fault)
    environment.set_for_this_process(database_url=database_url, directory=servers.directory)


def _is_unit_test(word: str) -> bool:
    return Path(word.partition("::")[0]).resolve().is_relative_to(TESTS / "unit")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what lasts: of several runners none is left alone with a long module."""
    items.sort(key=lambda item: FOLDERS.index(item.path.relative_to(TESTS).parts[0]))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what has no server on a laptop; in CI a missing server is a failure."""
    missing = item.config.stash.get(MISSING, None)
    if missing and not _is_unit_test(str(item.path)):
        lack(missing)


def lack(reason: str) -> None:
    """End the test that can't be run here: skipped, or failed where CI is set."""
    if os.environ.get("CI", "").lower() in {"1", "true"}:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):
    """Add the end of every process's log to the report of a failed test."""
    report = yield
    system = getattr(item, "funcargs", {}).get("system")
    if report.failed and system is not None:
        report.sections += [(f"log of {one.name}", one.log_tail()) for one in system.processes]
    return report


def pytest_unconfigure(config: pytest.Config) -> None:
    if SERVERS in config.stash:
        config.stash[SERVERS].close()

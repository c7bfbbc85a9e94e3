"""What the documents name exists: pages, folders, make targets, commands."""

import re
from pathlib import Path

import pytest
from django.core.management import get_commands

from jobs.admin.workflows import WorkflowAdmin
from jobs.registry import find_type
from jobs.states import AlertKind, WorkflowStatus
from tests.harness.variables import CHECKOUT

PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
MAKEFILE = (CHECKOUT / "Makefile").read_text()

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def found(pattern: str, page: Path) -> set[str]:
    return set(re.findall(pattern, page.read_text(), re.MULTILINE))


@every_page
class TestPage:
    def test_links_to_pages_that_exist(self, page):
        links = {link for link in found(r"\]\(([^)#\s]+)", page) if "://" not in link}
        assert [link for link in links if not (page.parent / link).exists()] == []

    def test_names_make_targets_that_exist(self, page):
        targets = found(r"(?:`|^ {4})make ([a-z]+)", page)
        assert [word for word in targets if f"\n{word}:" not in MAKEFILE] == []

    def test_names_commands_that_exist(self, page):
        assert found(r"manage\.py ([a-z_]+)", page) - set(get_commands()) == set()


class TestTheOnCallPage:
    """What it says of workflows."""

    section = (CHECKOUT / "docs" / "operations.md").read_text().partition("## Workflows\n")[2]
    section = section.partition("\n## ")[0]

    def test_names_each_button_and_what_calls_for_it(self):
        buttons = [getattr(WorkflowAdmin, name) for name in WorkflowAdmin.actions_detail]
        words = [f"*{button.short_description}*" for button in buttons]
        wanted = set(WorkflowStatus) - {WorkflowStatus.COMPLETED, WorkflowStatus.TIMEOUT}
        words += [f"`{status}`" for status in (*wanted, AlertKind.WORKFLOW_TIMEOUT)]
        assert [each for each in words if each not in self.section] == []

    def test_names_job_types_that_exist(self):
        types = set(re.findall(r"--type ([a-z_.]+)", self.section))
        assert types
        assert [name for name in types if find_type(name) is None] == []

"""The example on the page of workflows works when it is copied; each comparison has its test."""

import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from jobs.models import Workflow
from jobs.testing import run_enqueued_jobs
from jobs.workflows import registry
from jobs.workflows.operations import start_workflow
from jobs.workflows.timers import TIMEOUT, enqueue_due_timers
from tests import workflow_drills as drills
from tests.drills import ACME
from tests.harness.variables import CHECKOUT
from tests.integration.test_like_a_step import TestLikeAStep as Steps
from tests.integration.test_like_an_alarm import TestLikeAnAlarm as Alarms

PAGE = (CHECKOUT / "docs" / "workflows.md").read_text()
README = (CHECKOUT / "README.md").read_text()
COMPARED = PAGE[PAGE.index("## Beside alarms and steps elsewhere") :]

NAME = "billing.close_month"

#: As the page says: the app is in INSTALLED_APPS. What is found by itself is printed.
FOUND = f"""
import django, project.settings as settings
settings.INSTALLED_APPS.append("billing")
django.setup()
from jobs.workflows.registry import get_definition
print([step.name for step in get_definition("{NAME}").steps])
"""


def blocks(text: str, title: str) -> list[str]:
    """Return the Python of a section."""
    section = re.split(r"^## ", text[text.index(f"## {title}") + 3 :], flags=re.MULTILINE)[0]
    return re.findall(r"^```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


WORKFLOWS, TEST = blocks(PAGE, "Declare one")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The app `billing`, made as the page says, in a folder of its own."""
    folder: Path = tmp_path_factory.mktemp("copied")
    (folder / "billing").mkdir()
    (folder / "billing" / "__init__.py").touch()
    (folder / "billing" / "workflows.py").write_text(WORKFLOWS)
    (folder / "test_billing.py").write_text(TEST)
    return folder


@pytest.fixture(scope="module")
def copied(folder):
    """The page's test, with the page's workflow known to this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        import_module("billing.workflows")
        yield import_module("test_billing")
        registry.forget(NAME)
        for name in ("billing", "billing.workflows", "test_billing"):
            del sys.modules[name]


class TestTheExample:
    def test_is_found_by_itself_once_its_app_is_installed(self, folder):
        environ = {**os.environ, "DEBUG": "true", "PYTHONPATH": f"{folder}{os.pathsep}{CHECKOUT}"}
        environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
        found = subprocess.run(
            [sys.executable, "-c", FOUND], env=environ, capture_output=True, text=True, check=False
        )
        names = ["billing.add_up_month", "billing.approve_total", "billing.close_books"]
        assert (found.stdout.strip(), found.returncode) == (str(names), 0), found.stderr

    @pytest.mark.django_db
    def test_passes_its_own_test_which_drives_it_to_the_end(self, copied: ModuleType):
        copied.test_closes_a_month(None)

        workflow = Workflow.objects.get()
        outputs = list(workflow.steps.order_by("number").values_list("output", flat=True))
        assert outputs == [{"total": 5_750}, {"approved": True}, {"closed": True}]

    @pytest.mark.django_db
    def test_times_out_when_nobody_approves(self, copied: ModuleType):
        data = {"month": "2026-11", "amounts": [1]}
        workflow = start_workflow(NAME, data, tenant_id=ACME)
        run_enqueued_jobs()

        drills.let_it_be_due(workflow, TIMEOUT)
        enqueue_due_timers()
        run_enqueued_jobs()

        assert drills.fresh(workflow).status == "timeout"

    def test_is_the_one_that_the_readme_shows(self):
        (shown,) = blocks(README, "Work of several steps")
        lines = {line.partition("  #")[0] for line in WORKFLOWS.splitlines()}
        assert [line for line in shown.splitlines() if line not in lines] == []


def tables():
    """Return, for each table that compares, the last cell of its rows."""
    found = re.findall(r"^\| theirs.*\n\|[-|]+\|\n((?:\|.*\n)+)", COMPARED, re.MULTILINE)
    return [[row.rsplit("|", 2)[1].strip(" `") for row in each.splitlines()] for each in found]


class TestEachRow:
    @pytest.mark.parametrize(("number", "tests"), [(0, Alarms), (1, Steps)])
    def test_names_a_test_and_each_test_has_a_row(self, number, tests):
        methods = [name for name in vars(tests) if name.startswith("test_")]

        assert tables()[number] == methods

"""What the admin's poller is answered: the cells of workflows that still move."""

import uuid

import pytest
from django.utils.html import escape

from jobs.admin.moving import POLLED_MAX
from jobs.admin.workflows import WorkflowAdmin
from jobs.models import Workflow
from jobs.testing import run_enqueued_jobs
from tests import workflow_pages as pages
from tests.people import WHO, browser_of
from tests.workflow_pages import CELLS, HOSTILE

pytestmark = pytest.mark.django_db

OF_THE_LIST = ("status", "progress", "step", "deadline")
OF_THE_PAGE = ("timeline", "timers", "history", "state", "error", "ended")


@pytest.fixture
def waiting(acme):
    return pages.wait_for_decision(acme)


def ask(client, *ids, cells=OF_THE_LIST):
    return client.get(CELLS, {"id": ids, "cell": cells})


def row_of(client, workflow, **options):
    return ask(client, workflow.pk, **options).json()["rows"][str(workflow.pk)]


class TestCells:
    def test_are_drawn_as_the_page_draws_them(self, admin, waiting):
        row = row_of(admin, waiting)
        assert row["live"] is True
        assert tuple(row["cells"]) == OF_THE_LIST
        assert 'aria-valuenow="33"' in row["cells"]["progress"]
        assert "2 of 3" in row["cells"]["step"]

    def test_of_a_page_are_drawn_for_one_workflow(self, admin, waiting):
        cells = row_of(admin, waiting, cells=OF_THE_LIST + OF_THE_PAGE)["cells"]
        assert "workspace.confirm_archiving" in cells["timeline"]
        assert "step 1 done" in cells["history"]
        assert "timeout" in cells["timers"]

    def test_of_a_page_are_not_drawn_for_many(self, admin, waiting, acme):
        other = pages.start_archiving(acme)
        assert ask(admin, waiting.pk, other.pk, cells=["timeline"]).status_code == 404

    def test_say_when_nothing_moves_any_more(self, admin, waiting):
        pages.decide(waiting)
        run_enqueued_jobs()
        row = row_of(admin, waiting)
        assert row["live"] is False
        assert 'aria-valuenow="100"' in row["cells"]["progress"]
        assert row["cells"]["deadline"] == "-"

    def test_are_escaped(self, admin, waiting):
        hostile = {HOSTILE: HOSTILE}
        Workflow.objects.filter(pk=waiting.pk).update(error=HOSTILE, state=hostile, name=HOSTILE)
        waiting.steps.update(error=HOSTILE, name=HOSTILE, output=hostile)
        cells = row_of(admin, waiting, cells=OF_THE_LIST + OF_THE_PAGE)["cells"]
        assert HOSTILE not in "".join(cells.values())
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in cells["error"]

    def test_cost_the_same_for_many_workflows(self, admin, waiting, acme):
        ids = [waiting.pk, *(pages.start_archiving(acme).pk for _ in range(9))]
        few, many = (
            pages.queries_of(admin, f"{CELLS}?" + "&".join(f"id={each}" for each in wanted))
            for wanted in (ids[:1], ids)
        )
        assert few == many

    def test_are_for_a_page_of_rows_at_once(self, admin, acme, waiting):
        strangers = [uuid.uuid4() for _ in range(POLLED_MAX)]
        assert ask(admin, *strangers, waiting.pk).json() == {"rows": {}}

    def test_are_escaped_where_they_are_plain_text(self, admin, waiting, monkeypatch):
        plain = {"status": lambda workflow: HOSTILE}
        monkeypatch.setattr(WorkflowAdmin, "row_cells", plain)
        assert row_of(admin, waiting, cells=["status"])["cells"]["status"] == escape(HOSTILE)


class TestNonsense:
    def test_is_not_answered(self, admin, waiting):
        assert ask(admin, "nonsense").status_code == 404
        assert ask(admin, waiting.pk, cells=["nonsense"]).status_code == 404
        assert ask(admin, waiting.pk, cells=["__class__"]).status_code == 404

    def test_of_ids_that_nobody_has_is_an_empty_answer(self, admin, waiting):
        assert ask(admin, uuid.uuid4()).json() == {"rows": {}}
        assert admin.get(CELLS).json() == {"rows": {}}


@pytest.mark.parametrize("who", WHO)
class TestPermission:
    def test_is_that_to_see_workflows(self, who, waiting):
        client = browser_of(who, "view_workflow", others=("view_job",), seen=())
        answer = ask(client, waiting.pk)
        expected = {"anonymous": 302, "user": 302, "staff without": 403}
        assert answer.status_code == expected.get(who, 200)

"""The admin's pages for exports that workflows write: linked, moving, cancelled and run again."""

import pytest
from django.urls import reverse

from exports.models import Export
from exports.object_store import s3
from exports.operations import request_export
from exports.states import ExportStatus
from jobs.testing import run_enqueued_jobs
from jobs.workflows.operations import restart_workflow
from project.services.ports import free_port
from project.workspace.models import Item, Project
from tests.exporting_workflows import after, break_part
from tests.people import make_tenant

pytestmark = pytest.mark.django_db

LIST = reverse("admin:exports_export_changelist")
ROWS = 7


@pytest.fixture(autouse=True)
def in_parts(settings, tmp_path):
    settings.EXPORTS_STORAGE_URL = f"file://{tmp_path / 'exports'}"
    settings.EXPORTS_PARTS_FROM_ROWS = ROWS
    settings.EXPORTS_PART_ROWS = 2
    settings.JOBS_LANE_IN_FLIGHT_MAX = {"exports": 1}


@pytest.fixture
def export():
    acme = make_tenant("acme")
    project = Project.objects.create(tenant=acme, name="Autumn")
    Item.objects.bulk_create(
        Item(tenant=acme, project=project, sku=f"S{number}") for number in range(ROWS)
    )
    return request_export(tenant_id=acme.pk, user_id=None, dataset="items", format="csv")


@pytest.fixture
def leave_store(monkeypatch, settings):
    """Let the store be a bucket from now on whose address nobody listens at."""

    def leave():
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
            monkeypatch.setenv(name, "us-east-1")
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
        monkeypatch.setattr(s3, "HURRY", s3.Patience(0.2, 0.2, tries=1))
        s3.client_of_process.cache_clear()
        settings.EXPORTS_STORAGE_URL = "s3://exports"

    yield leave
    s3.client_of_process.cache_clear()


def page_of(row, action="change"):
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{action}", args=[row.pk])


def text_of(answer):
    return answer.content.decode()


class TestPage:
    def test_links_to_the_workflow(self, admin, export):
        assert f'href="{page_of(export.workflow)}"' in text_of(admin.get(page_of(export)))

    def test_links_to_the_newest_after_a_restart(self, admin, export):
        admin.post(page_of(export, "cancel"))
        new = restart_workflow(workflow_id=export.workflow_id, by="an operator")
        page = text_of(admin.get(page_of(export)))
        assert f'href="{page_of(new)}"' in page
        assert f'href="{page_of(export.workflow)}"' not in page

    def test_is_found_by_the_workflow(self, admin, export):
        assert str(export.pk) in text_of(admin.get(LIST, {"q": str(export.workflow_id)}))

    def test_shows_why_it_failed(self, admin, export, monkeypatch):
        break_part(monkeypatch, 2, OSError("<b>no such disk"))
        run_enqueued_jobs(raise_errors=False)
        page = text_of(admin.get(page_of(export)))
        assert "Step 2, exports.write_part: OSError: &lt;b&gt;no such disk" in page


class TestProgress:
    def test_moves_with_the_parts(self, admin, export, monkeypatch):
        shown = []

        def look():
            asked = {"id": export.pk, "cell": ["status", "progress"]}
            cells = admin.get(reverse("admin:exports_export_cells"), asked).json()["rows"]
            shown.append(cells[str(export.pk)])

        for part in (1, 2, 3, 4):
            after(monkeypatch, "write", look, time=part)
        run_enqueued_jobs()
        look()
        for cells, percent in zip(shown, (28, 57, 85, 100, 100), strict=True):
            assert f'aria-valuenow="{percent}"' in cells["cells"]["progress"]
        assert [cells["live"] for cells in shown] == [True, True, True, True, False]


class TestActions:
    def test_cancel_and_run_again(self, admin, export, monkeypatch):
        with monkeypatch.context() as patch:
            after(patch, "write", lambda: admin.post(page_of(export, "cancel")), time=2)
            run_enqueued_jobs()
        assert Export.objects.get().status == ExportStatus.CANCELLED

        answer = text_of(admin.post(page_of(export, "retry"), follow=True))
        assert "Queued items.csv" in answer
        again = text_of(admin.post(page_of(export, "retry"), follow=True))
        assert "is queued; it can&#x27;t run again" in again
        run_enqueued_jobs()
        assert Export.objects.get().status == ExportStatus.COMPLETED

    def test_say_that_one_which_has_ended_is_not_cancelled(self, admin, export):
        run_enqueued_jobs()
        answer = text_of(admin.post(page_of(export, "cancel"), follow=True))
        assert "only live ones can be cancelled" in answer

    def test_on_many_ask_a_store_that_is_away_once(self, admin, export, monkeypatch, leave_store):
        # Given two that failed with some parts done, and a store that nobody reaches any more
        other = request_export(
            tenant_id=export.tenant_id, user_id=None, dataset="items", format="json"
        )
        break_part(monkeypatch, 2, OSError("no such disk"))
        run_enqueued_jobs(raise_errors=False)
        leave_store()
        asked, sizes = [], s3.S3Store.sizes

        def ask(store, folder):
            asked.append(folder)
            return sizes(store, folder)

        monkeypatch.setattr(s3.S3Store, "sizes", ask)

        chosen = {"action": "retry_selected", "_selected_action": [export.pk, other.pk]}
        page = text_of(admin.post(LIST, chosen, follow=True))

        assert page.count("Nothing was changed; try again.") == 2
        assert len(asked) == 1

    def test_of_the_workflow_act_on_the_export(self, admin, export):
        admin.post(page_of(export.workflow, "cancel"))
        assert Export.objects.get().status == ExportStatus.CANCELLED
        admin.post(page_of(export.workflow, "restart"), {"from_step": 1})
        run_enqueued_jobs()
        assert Export.objects.get().status == ExportStatus.COMPLETED

"""The admin's pages for exports: what they show, and who may do what."""

import csv
import io
import uuid

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from exports.models import Export
from exports.operations import begin_part, request_export, write_progress
from exports.states import ExportStatus
from jobs.engine import lifecycle
from jobs.models import Job
from jobs.testing import run_enqueued_jobs
from project.workspace.models import Item, Project
from tests.people import make_tenant, make_user

pytestmark = pytest.mark.django_db

LIST = reverse("admin:exports_export_changelist")
ADD = reverse("admin:exports_export_add")
PROGRESS = reverse("admin:exports_export_cells")
HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(autouse=True)
def folder(settings, tmp_path):
    settings.EXPORTS_STORAGE_URL = f"file://{tmp_path / 'exports'}"


@pytest.fixture
def acme():
    tenant = make_tenant("acme")
    project = Project.objects.create(tenant=tenant, name="Autumn")
    Item.objects.create(tenant=tenant, project=project, sku="LAMP-1")
    return tenant


@pytest.fixture
def export(acme):
    return request_export(tenant_id=acme.pk, user_id=None, dataset="items", format="csv")


@pytest.fixture
def half_done(export):
    lifecycle.take_due(10)
    job = Job.objects.get()
    claimed = lifecycle.claim(job.pk, job.dispatch, worker="first")
    assert claimed
    write_progress(begin_part(claimed, export.pk), rows_done=1200, rows_total=2400)
    return export


@pytest.fixture
def operator(client):
    """A browser of staff who may see exports; `allow` lets them do more."""
    user = make_user("operator@offload.example", is_staff=True)
    client.force_login(user)

    def allow(*codenames):
        user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))

    allow("view_export")
    client.allow = allow
    return client


def page_of(export, action="change"):
    return reverse(f"admin:exports_export_{action}", args=[export.pk])


def text_of(answer):
    return answer.content.decode()


class TestList:
    def test_shows_tenant_status_progress_and_size(self, operator, half_done):
        page = text_of(operator.get(LIST))
        assert "Acme" in page
        assert "processing" in page
        assert "1,200 of 2,400" in page
        assert 'aria-valuenow="50"' in page
        assert "jobs/moving.js" in page

    def test_shows_rows_and_size_of_what_is_done(self, operator, export):
        run_enqueued_jobs()
        page = text_of(operator.get(LIST))
        assert f"{Export.objects.get().size_bytes} bytes" in page.replace("\xa0", " ")
        assert 'data-live="no"' in page

    def test_finds_an_export_by_its_ids(self, operator, export, acme):
        for wanted in (export.pk, export.job_id, acme.pk):
            assert str(export.pk) in text_of(operator.get(LIST, {"q": str(wanted)}))
        assert str(export.pk) not in text_of(operator.get(LIST, {"q": "items"}))

    def test_is_for_those_who_may_see_exports(self, client, export):
        client.force_login(make_user("nobody@offload.example", is_staff=True))
        for url in (LIST, page_of(export), PROGRESS):
            assert client.get(url).status_code == 403


class TestPage:
    def test_shows_everything_and_changes_nothing(self, operator, export):
        lifecycle.fail(Job.objects.get(), ValueError(HOSTILE), outcome=None)
        page = text_of(operator.get(page_of(export)))
        assert str(export.job_id) in page
        assert "ValueError: &lt;script&gt;" in page
        assert HOSTILE not in page
        assert operator.post(page_of(export), {"status": "completed"}).status_code == 403


class TestProgressView:
    @pytest.fixture
    def ask(self, operator, export):
        def ask():
            asked = {"id": export.pk, "cell": ["status", "progress", "rows", "size"]}
            return operator.get(PROGRESS, asked).json()["rows"][str(export.pk)]

        return ask

    def test_answers_with_the_cells_that_move(self, ask, half_done):
        answer = ask()
        assert answer["live"] is True
        assert "1,200 of 2,400" in answer["cells"]["progress"]
        assert 'aria-valuenow="50"' in answer["cells"]["progress"]

    def test_says_when_nothing_moves_any_more(self, ask):
        run_enqueued_jobs()
        answer = ask()
        assert answer["live"] is False
        assert "completed" in answer["cells"]["status"]
        assert 'aria-valuenow="100"' in answer["cells"]["progress"]

    def test_knows_no_nonsense(self, operator, export):
        assert operator.get(PROGRESS, {"id": "nonsense"}).status_code == 404
        assert operator.get(PROGRESS).json() == {"rows": {}}


class TestRequest:
    @pytest.fixture
    def wanted(self, acme):
        return {"tenant": acme.pk, "dataset_name": "items", "format": "json"}

    def test_stores_an_export_and_its_job(self, operator, wanted, acme):
        operator.allow("request_export")
        assert operator.get(ADD).status_code == 200
        answer = operator.post(ADD, wanted, follow=True)
        export = Export.objects.get()
        assert "was added successfully" in text_of(answer)
        assert (export.tenant, export.dataset, export.format) == (acme, "items", "json")
        assert str(export.requested_by) == "operator@offload.example"
        assert Job.objects.get().tenant_id == acme.pk
        run_enqueued_jobs()
        assert Export.objects.get().status == ExportStatus.COMPLETED

    def test_needs_its_permission(self, operator, wanted):
        assert operator.get(ADD).status_code == 403
        assert operator.post(ADD, wanted).status_code == 403
        assert not Job.objects.exists()

    @pytest.mark.parametrize("field", ["tenant", "dataset_name", "format"])
    def test_refuses_what_does_not_exist(self, operator, wanted, field):
        operator.allow("request_export")
        page = text_of(operator.post(ADD, wanted | {field: str(uuid.uuid4())}))
        assert "Select a valid choice" in page
        assert not Job.objects.exists()


class TestActions:
    @pytest.mark.parametrize("action", ["download", "cancel", "retry"])
    def test_need_their_own_permission(self, operator, export, action):
        others = {"cancel_export", "retry_export", "download_export", "request_export"}
        operator.allow(*others - {f"{action}_export"})
        assert operator.get(page_of(export, action)).status_code == 403
        assert operator.post(page_of(export, action)).status_code == 403
        assert Export.objects.get().status == ExportStatus.QUEUED

    def test_ask_before_they_act(self, operator, export):
        operator.allow("cancel_export")
        assert "Cancel this export" in text_of(operator.get(page_of(export, "cancel")))
        assert Export.objects.get().status == ExportStatus.QUEUED
        answer = operator.post(page_of(export, "cancel"), follow=True)
        assert "Cancelled items.csv" in text_of(answer)
        assert Export.objects.get().status == ExportStatus.CANCELLED

    def test_run_an_export_again_once(self, operator, export):
        operator.allow("cancel_export", "retry_export")
        operator.post(page_of(export, "cancel"))
        assert "Queued items.csv" in text_of(operator.post(page_of(export, "retry"), follow=True))
        again = text_of(operator.post(page_of(export, "retry"), follow=True))
        assert "is queued; it can&#x27;t run again" in again
        assert Job.objects.count() == 2

    def test_work_on_many(self, operator, export, acme):
        operator.allow("cancel_export")
        other = request_export(tenant_id=acme.pk, user_id=None, dataset="projects", format="csv")
        chosen = {"action": "cancel_selected", "_selected_action": [export.pk, other.pk]}
        operator.post(LIST, chosen, follow=True)
        assert set(Export.objects.values_list("status", flat=True)) == {ExportStatus.CANCELLED}

    def test_download_the_file(self, operator, export):
        operator.allow("download_export")
        run_enqueued_jobs()
        answer = operator.get(page_of(export, "download"))
        data = b"".join(answer.streaming_content).decode()
        assert [row["sku"] for row in csv.DictReader(io.StringIO(data))] == ["LAMP-1"]
        assert answer.headers["Content-Disposition"] == 'attachment; filename="items.csv"'

    def test_say_that_there_is_no_file_yet(self, operator, export):
        operator.allow("download_export")
        answer = operator.get(page_of(export, "download"), follow=True)
        assert "only a completed one has a file" in text_of(answer)

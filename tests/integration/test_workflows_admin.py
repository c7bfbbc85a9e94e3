"""The admin's list of workflows: what it shows, how it is narrowed, and what that costs."""

import uuid
from datetime import timedelta

import pytest
from django.contrib.admin import site
from django.db import connection

from jobs import enqueue
from jobs.admin.workflows import WorkflowAdmin
from jobs.models import Job, Workflow, WorkflowStep
from jobs.states import SYSTEM_TENANT
from jobs.testing import run_enqueued_jobs
from tests import workflow_pages as pages
from tests.drills import run_atomic
from tests.people import make_tenant, make_user
from tests.workflow_pages import LIST, page_of, text_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting(acme):
    return pages.wait_for_decision(acme)


class TestList:
    def test_shows_where_each_workflow_is(self, admin, waiting):
        page = text_of(admin.get(LIST))

        assert "workspace.archive_project" in page
        assert "Acme" in page
        assert "processing" in page
        assert 'aria-valuenow="33"' in page
        assert "2 of 3" in page
        assert "workspace.confirm_archiving" in page

    def test_counts_down_to_the_deadline_of_what_is_live(self, admin, waiting):
        assert "data-seconds-left=" in text_of(admin.get(LIST))
        pages.cancelled(waiting)
        assert "data-seconds-left=" not in text_of(admin.get(LIST))

    def test_has_all_that_moves_it(self, admin, waiting):
        page = text_of(admin.get(LIST))
        for script in ("moving", "countdown"):
            assert f"jobs/{script}.js" in page
        assert page.count('data-live="yes"') == 4

    def test_moves_nothing_that_has_ended(self, admin, waiting):
        pages.decide(waiting)
        run_enqueued_jobs()
        page = text_of(admin.get(LIST))
        assert 'data-live="yes"' not in page
        assert "3 of 3" in page
        assert "completed" in page

    def test_names_a_workflow_of_no_tenant(self, admin):
        Workflow.objects.create(name="x", version=1, tenant_id=SYSTEM_TENANT, step_count=1)
        assert "system" in text_of(admin.get(LIST))

    def test_shows_one_that_this_release_does_not_know(self, admin, acme):
        Workflow.objects.create(
            name=pages.HOSTILE, version=1, tenant_id=acme.pk, step_count=7, step_number=4
        )
        page = text_of(admin.get(LIST))
        assert "4 of 7" in page
        assert pages.HOSTILE not in page

    def test_is_for_those_who_may_see_workflows(self, client, waiting):
        client.force_login(make_user("nobody@offload.example", is_staff=True))
        for url in (LIST, page_of(waiting), pages.CELLS):
            assert client.get(url).status_code == 403

    def test_lets_nobody_write_rows(self, admin, waiting):
        assert admin.post(page_of(waiting), {"status": "completed"}).status_code == 403
        assert admin.post(page_of(waiting, "delete"), {"post": "yes"}).status_code == 403
        assert admin.get(f"{LIST}add/").status_code == 403


class TestFilters:
    @pytest.mark.parametrize("query", ["status__exact=processing", f"name={pages.ARCHIVE}"])
    def test_find_by_status_and_name(self, admin, waiting, query):
        assert page_of(waiting) in text_of(admin.get(f"{LIST}?{query}"))

    @pytest.mark.parametrize("query", ["status__exact=failed", "name=another"])
    def test_leave_the_others_out(self, admin, waiting, query):
        assert page_of(waiting) not in text_of(admin.get(f"{LIST}?{query}"))

    @pytest.mark.parametrize(
        ("age", "shown"),
        [("day", {"hour"}), ("week", {"hour", "days"}), ("longer", {"month"}), ("x", "all")],
    )
    def test_find_by_age(self, admin, acme, age, shown):
        ages = {"hour": timedelta(hours=1), "days": timedelta(days=3), "month": timedelta(days=30)}
        rows = {name: pages.started_ago(acme, each) for name, each in ages.items()}

        page = text_of(admin.get(f"{LIST}?age={age}"))

        found = {name for name, row in rows.items() if page_of(row) in page}
        assert found == (set(rows) if shown == "all" else shown)


class TestSearch:
    def test_finds_a_workflow_by_its_id_its_tenant_and_its_jobs(self, admin, waiting, acme):
        stranger = pages.start_archiving(make_tenant("globex"))
        job_id = waiting.steps.get(number=1).job_id
        for wanted in (waiting.pk, acme.pk, job_id, f" {job_id} "):
            page = text_of(admin.get(LIST, {"q": str(wanted)}))
            assert page_of(waiting) in page
            assert page_of(stranger) not in page

    @pytest.mark.parametrize("payload", [{}, {"workflow_id": "nonsense"}, {"workflow_id": [1]}])
    def test_finds_nothing_by_another_job(self, admin, waiting, payload):
        job = enqueue(run_atomic, {})
        Job.objects.filter(pk=job.pk).update(payload=payload)
        for wanted in (job.pk, uuid.uuid4(), "nonsense"):
            assert page_of(waiting) not in text_of(admin.get(LIST, {"q": str(wanted)}))

    @pytest.mark.skipif("connection.vendor != 'postgresql'", reason="It asks for its plan.")
    def test_reads_through_indexes(self, waiting, acme, rf):
        # Given many, where reading them all would not be worth it
        other = uuid.uuid4()
        Workflow.objects.bulk_create(
            Workflow(name="x", version=1, tenant_id=other, step_count=1) for _ in range(2_000)
        )
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE jobs_workflow")

        # When the planner is asked how it finds a workflow or a tenant's
        page = WorkflowAdmin(Workflow, site)
        found, _ = page.get_search_results(rf.get("/"), Workflow.objects.all(), str(acme.pk))
        plan = found.explain()

        # Then by the indexes of both
        assert "Seq Scan" not in plan
        assert "jobs_workflows_by_tenant" in plan
        assert "jobs_workflow_pkey" in plan


class TestCost:
    def test_is_the_same_for_many_workflows(self, admin, acme):
        pages.wait_for_decision(acme)
        few = pages.queries_of(admin, LIST)
        for _ in range(20):
            pages.wait_for_decision(acme)
        assert pages.queries_of(admin, LIST) == few
        assert few <= 10

    def test_of_a_page_is_the_same_for_many_branches(self, admin, waiting):
        few = pages.queries_of(admin, page_of(waiting))
        add_branches(waiting, 60)
        assert pages.queries_of(admin, page_of(waiting)) == few
        assert few <= 22


def add_branches(workflow, count) -> None:
    WorkflowStep.objects.bulk_create(
        WorkflowStep(
            workflow=workflow, number=3, branch=branch, name="x.convert_part", job_id=uuid.uuid4()
        )
        for branch in range(count)
    )

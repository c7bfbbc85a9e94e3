"""The admin's lists by tenant: a link in each row, a filter, and a search by what it is called."""

import uuid
from datetime import date

import pytest
from django.contrib.admin import site
from django.db import connection
from django.urls import reverse
from django.utils.html import escape

from exports.models import Export
from jobs import enqueue
from jobs.admin.tenants import NEWEST_ROWS
from jobs.admin.workflows import WorkflowAdmin
from jobs.models import DailyMetric, DeadLetter, Job, Workflow
from jobs.states import SYSTEM_TENANT
from project.accounts.models import Tenant
from tests.drills import run_atomic
from tests.people import make_tenant
from tests.schedule_pages import page_of, text_of

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert(1)</script>"


def leave_workflow(tenant_id: uuid.UUID) -> Workflow:
    return Workflow.objects.create(name="x", version=1, tenant_id=tenant_id, step_count=1)


def leave_job(tenant_id: uuid.UUID) -> Job:
    return enqueue(run_atomic, {}, tenant_id=tenant_id)


def leave_letter(tenant_id: uuid.UUID) -> DeadLetter:
    return DeadLetter.objects.create(
        death=str(uuid.uuid4()), tenant_id=tenant_id, reason="rejected", body=b""
    )


@pytest.fixture(params=[leave_workflow, leave_job, leave_letter])
def leave(request):
    """Leave a row of a tenant, of each kind whose list knows tenants by their ids alone."""
    return request.param


@pytest.fixture
def globex():
    return make_tenant("globex")


def list_of(row) -> str:
    return reverse(f"admin:jobs_{row._meta.model_name}_changelist")


def offered(answer) -> list[str]:
    """Return the names of the tenants that a list's filter offers."""
    [each] = [each for each in answer.context["cl"].filter_specs if each.title == "tenant"]
    return [name for _, name in each.lookup_choices]


class TestARow:
    def test_leads_to_the_rows_of_its_tenant(self, admin, leave, acme, globex):
        row, stranger = leave(acme.pk), leave(globex.pk)
        address = f"{list_of(row)}?tenant_id={acme.pk}"
        assert f'href="{address}"' in text_of(admin.get(list_of(row)))

        page = text_of(admin.get(address))

        assert page_of(row) in page
        assert page_of(stranger) not in page

    def test_has_name_and_id_of_its_tenant_on_its_page(self, admin, leave, acme):
        row = leave(acme.pk)
        page = text_of(admin.get(page_of(row)))
        assert f'href="{list_of(row)}?tenant_id={acme.pk}">Acme</a>' in page
        assert f">{acme.pk}<" in page

    def test_of_the_system_says_so(self, admin, leave):
        row = leave(uuid.UUID(SYSTEM_TENANT))
        address = f"{list_of(row)}?tenant_id={SYSTEM_TENANT}"
        assert f'href="{address}">system</a>' in text_of(admin.get(list_of(row)))
        assert page_of(row) in text_of(admin.get(address))

    def test_shows_a_hostile_name_as_text(self, admin, leave, acme):
        Tenant.objects.filter(pk=acme.pk).update(name=HOSTILE)
        row = leave(acme.pk)
        for page in (list_of(row), f"{list_of(row)}?tenant_id={acme.pk}", page_of(row)):
            text = text_of(admin.get(page))
            assert HOSTILE not in text
            assert escape(HOSTILE) in text


class TestFilter:
    def test_offers_the_tenants_that_have_rows(self, admin, leave, acme, globex):
        make_tenant("idle")
        row = [leave(globex.pk), leave(acme.pk)][0]

        assert offered(admin.get(list_of(row))) == ["Acme", "Globex"]

    def test_offers_the_one_that_is_chosen_though_it_has_none(self, admin, leave, acme):
        row, gone = leave(acme.pk), uuid.uuid4()
        answer = admin.get(list_of(row), {"tenant_id": str(gone)})
        assert page_of(row) not in text_of(answer)
        assert set(offered(answer)) == {"Acme", str(gone)}

    def test_starts_anew_for_an_id_that_is_none(self, admin, leave, acme):
        row = leave(acme.pk)
        answer = admin.get(list_of(row), {"tenant_id": "acme"})
        assert answer.status_code == 302

    def test_looks_at_the_newest_rows_alone(self, admin, acme, globex):
        # Given a tenant whose only workflow is older than all that are looked at
        old = leave_workflow(globex.pk)
        Workflow.objects.bulk_create(
            Workflow(name="x", version=1, tenant_id=acme.pk, step_count=1)
            for _ in range(NEWEST_ROWS)
        )

        # Then the filter does not offer it, and the search finds it all the same
        assert offered(admin.get(list_of(old))) == ["Acme"]
        assert page_of(old) in text_of(admin.get(list_of(old), {"q": "globex"}))


class TestSearch:
    @pytest.mark.parametrize("wanted", ["Acme Lamps", "lamps", " acme-l ", "ACME"])
    def test_finds_a_tenants_rows_by_its_name_and_slug(self, admin, leave, globex, wanted):
        tenant = Tenant.objects.create(name="Acme Lamps", slug="acme-l")
        row, stranger = leave(tenant.pk), leave(globex.pk)

        page = text_of(admin.get(list_of(row), {"q": wanted}))

        assert page_of(row) in page
        assert page_of(stranger) not in page

    def test_finds_those_of_all_tenants_that_are_called_so(self, admin, leave):
        rows = [leave(make_tenant(slug).pk) for slug in ("acme-east", "acme-west")]
        page = text_of(admin.get(list_of(rows[0]), {"q": "acme"}))
        assert all(page_of(row) in page for row in rows)

    def test_finds_exports_and_metrics_too(self, admin, acme, globex):
        for tenant in (acme, globex):
            Export.objects.create(tenant=tenant, dataset="items", format="csv")
            count = {"name": "x", "day": date(2026, 11, 25), "count": 1}
            DailyMetric.objects.create(tenant_id=tenant.pk, **count)
        for page in ("exports_export", "jobs_dailymetric"):
            answer = admin.get(reverse(f"admin:{page}_changelist"), {"q": "globex"})
            assert [row.tenant_id for row in answer.context["cl"].result_list] == [globex.pk]

    def test_finds_nothing_for_what_nobody_is_called(self, admin, leave, acme):
        row = leave(acme.pk)
        assert page_of(row) not in text_of(admin.get(list_of(row), {"q": "nonsense"}))

    def test_finds_nothing_where_no_model_names_tenants(self, admin, leave, acme, settings):
        settings.JOBS_TENANT_MODEL = ""
        row = leave(acme.pk)
        assert page_of(row) not in text_of(admin.get(list_of(row), {"q": "acme"}))
        assert offered(admin.get(list_of(row))) == [str(acme.pk)]

    @pytest.mark.skipif("connection.vendor != 'postgresql'", reason="It asks for its plan.")
    def test_reads_through_the_index_of_tenants(self, acme, rf):
        # Given many, where reading them all would not be worth it
        other = uuid.uuid4()
        Workflow.objects.bulk_create(
            Workflow(name="x", version=1, tenant_id=other, step_count=1) for _ in range(2_000)
        )
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE jobs_workflow")

        page = WorkflowAdmin(Workflow, site)
        found, _ = page.get_search_results(rf.get("/"), Workflow.objects.all(), "acme")

        assert "jobs_workflows_by_tenant" in found.explain()

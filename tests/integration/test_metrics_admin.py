"""Daily metrics in the admin: a list and a chart that follow the same filters, for reading."""

import json
import uuid
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone

from jobs.models import DailyMetric
from tests.drills import ACME, GLOBEX
from tests.people import make_tenant, make_user

pytestmark = pytest.mark.django_db

LIST = reverse("admin:jobs_dailymetric_changelist")


@pytest.fixture
def viewer(client):
    """Somebody who may view daily metrics, and nothing else."""
    user = make_user("viewer@offload.example", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_dailymetric"))
    client.force_login(user)
    return client


def make_metric(name="report.viewed", *, tenant_id=ACME, days_ago=0, count=1) -> DailyMetric:
    day = timezone.now().date() - timedelta(days=days_ago)
    return DailyMetric.objects.create(tenant_id=tenant_id, name=name, day=day, count=count)


def drawn(answer) -> dict[str, list[int]]:
    """Return the bars of the chart by name, the oldest day first."""
    assert answer.status_code == 200
    chart = answer.context_data["chart"]
    sets = json.loads(chart["data"])["datasets"] if chart else []
    return {each["label"]: each["data"] for each in sets}


def listed(answer) -> set[int]:
    return {metric.count for metric in answer.context_data["cl"].result_list}


class TestList:
    @pytest.mark.parametrize(
        ("filters", "shown"),
        [
            ({}, {1, 2, 4}),
            ({"name": "report.viewed"}, {1, 4}),
            ({"tenant": str(GLOBEX)}, {4}),
            ({"q": str(GLOBEX)}, {4}),
            ({"name": "nothing.happened"}, set()),
        ],
    )
    def test_and_chart_follow_the_filters(self, viewer, filters, shown):
        make_metric(count=1)
        make_metric("report.deleted", count=2)
        make_metric(tenant_id=GLOBEX, count=4)

        answer = viewer.get(LIST, filters)

        assert listed(answer) == shown
        assert sum(sum(bars) for bars in drawn(answer).values()) == sum(shown)

    def test_filters_by_day(self, viewer):
        make_metric(count=1)
        make_metric(days_ago=20, count=2)
        week_ago = timezone.now().date() - timedelta(days=7)

        answer = viewer.get(LIST, {"day__gte": week_ago.isoformat()})

        assert listed(answer) == {1}

    def test_starts_anew_for_a_tenant_that_is_none(self, viewer):
        assert viewer.get(LIST, {"tenant": "acme"}).status_code == 302

    def test_names_the_tenants(self, viewer):
        tenant = make_tenant("initech")
        make_metric(tenant_id=tenant.pk)
        make_metric(tenant_id=uuid.UUID(int=0))
        text = viewer.get(LIST).content.decode()
        assert "Initech" in text
        assert "system" in text


class TestChart:
    def test_has_a_bar_for_each_of_the_last_thirty_days(self, viewer):
        make_metric(count=5)
        make_metric(days_ago=29, count=3)
        make_metric(days_ago=30, count=7)

        bars = drawn(viewer.get(LIST))["report.viewed"]

        assert (len(bars), bars[0], bars[-1], sum(bars)) == (30, 3, 5, 8)

    def test_adds_the_tenants_up(self, viewer):
        make_metric(count=5)
        make_metric(tenant_id=GLOBEX, count=3)
        assert drawn(viewer.get(LIST))["report.viewed"][-1] == 8

    def test_puts_rare_events_together(self, viewer):
        for number in range(1, 10):
            make_metric(f"thing_{number}.done", count=number)

        bars = drawn(viewer.get(LIST))

        assert list(bars)[0] == "thing_9.done"
        assert bars["others"][-1] == 1 + 2
        assert len(bars) == 8

    def test_is_left_out_where_nothing_happened(self, viewer):
        make_metric(days_ago=90)
        answer = viewer.get(LIST)
        assert drawn(answer) == {}
        assert b"<canvas" not in answer.content

    def test_is_of_all_pages_of_the_list(self, viewer):
        for number in range(60):
            make_metric(tenant_id=uuid.UUID(int=number + 1))
        assert drawn(viewer.get(LIST))["report.viewed"][-1] == 60


class TestPermissions:
    def test_let_nobody_change_a_count(self, client):
        metric = make_metric()
        client.force_login(make_user("root@offload.example", is_staff=True, is_superuser=True))
        page = reverse("admin:jobs_dailymetric_change", args=[metric.pk])

        assert client.get(page).status_code == 200
        assert client.post(page, {"count": 9}).status_code == 403
        assert client.get(reverse("admin:jobs_dailymetric_add")).status_code == 403
        delete = reverse("admin:jobs_dailymetric_delete", args=[metric.pk])
        assert client.post(delete, {"post": "yes"}).status_code == 403
        assert DailyMetric.objects.get().count == 1

    def test_are_needed_to_view(self, client):
        client.force_login(make_user("clerk@offload.example", is_staff=True))
        assert client.get(LIST).status_code == 403

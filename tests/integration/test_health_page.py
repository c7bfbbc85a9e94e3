"""The admin's page of health checks: the present state above the history, to be read alone."""

import pytest
from django.urls import reverse
from django.utils import timezone

from jobs.doctor import Finding, findings
from jobs.health import history
from jobs.models import HealthCheck
from tests.people import make_user

pytestmark = pytest.mark.django_db(transaction=True)

OK = findings.ok("fine")
FAILED = findings.failed("it is full", "Empty it.")


def look(disk: Finding) -> None:
    history.store({"disk": disk, "net": OK}, at=timezone.now())


class TestThePage:
    @pytest.fixture
    def admin(self, client):
        client.force_login(make_user("root@offload.example", is_staff=True, is_superuser=True))
        return client

    LIST = reverse("admin:jobs_healthcheck_changelist")

    def test_shows_the_history_below_the_present(self, admin):
        look(FAILED)
        look(OK)
        answer = admin.get(self.LIST)
        text = answer.content.decode()
        assert "it is full" in text
        assert [each["check"].status for each in answer.context["present"]] == ["ok", "ok"]

    @pytest.mark.parametrize(
        ("filters", "count"),
        [({"name": "disk"}, 2), ({"status": "failed"}, 1), ({"name": "net", "status": "ok"}, 2)],
    )
    def test_filters(self, admin, filters, count):
        look(FAILED)
        look(OK)
        assert admin.get(self.LIST, filters).context["cl"].result_count == count

    def test_is_there_before_the_first_look_and_only_to_be_read(self, admin):
        assert admin.get(self.LIST).status_code == 200
        look(FAILED)
        row = HealthCheck.objects.earliest("pk")
        page = reverse("admin:jobs_healthcheck_change", args=[row.pk])
        assert admin.get(page).status_code == 200
        assert admin.post(page, {"status": "ok"}).status_code == 403
        assert admin.get(reverse("admin:jobs_healthcheck_add")).status_code == 403

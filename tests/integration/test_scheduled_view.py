"""`GET /__scheduled`: a schedule is run from a developer's own machine, and from nowhere else."""

import pytest
from django.test import Client
from pytest_django import Settings

from jobs.models import Job, Slot
from jobs.schedules.sync import sync_schedules

pytestmark = pytest.mark.django_db

PATTERN = "/__scheduled?cron=*/5+*+*+*+*"


@pytest.fixture(autouse=True)
def cron_table(settings: Settings) -> None:
    settings.DEBUG = True
    sync_schedules()


class TestGet:
    def test_runs_the_schedule_with_this_pattern(self, client: Client) -> None:
        answer = client.get(PATTERN)

        assert answer.status_code == 202
        job = Job.objects.get()
        assert job.type == "health.check_health"
        assert answer.json() == {
            "success": True,
            "ran": [{"schedule": "health_check", "job_id": str(job.pk)}],
        }
        assert Slot.objects.get().asked_by == "GET /__scheduled"

    def test_takes_a_name_as_well(self, client: Client) -> None:
        assert client.get("/__scheduled?cron=daily_cleanup").status_code == 202

    @pytest.mark.parametrize("query", ["?cron=1+1+1+1+1", "?cron=", ""])
    def test_says_which_patterns_there_are(self, client: Client, query: str) -> None:
        answer = client.get(f"/__scheduled{query}")

        assert answer.status_code == 404
        assert "daily_cleanup: 0 0 * * *" in answer.json()["detail"]
        assert not Job.objects.exists()

    def test_is_not_there_without_debug(self, client: Client, settings: Settings) -> None:
        settings.DEBUG = False

        assert client.get(PATTERN).status_code == 404
        assert not Job.objects.exists()

    @pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "2001:db8::1", ""])
    def test_is_not_there_for_another_machine(self, client: Client, address: str) -> None:
        assert client.get(PATTERN, REMOTE_ADDR=address).status_code == 404
        assert not Job.objects.exists()

    @pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1"])
    def test_is_there_for_this_machine(self, client: Client, address: str) -> None:
        assert client.get(PATTERN, REMOTE_ADDR=address).status_code == 202

    def test_is_not_there_for_a_page_of_another_site(self, client: Client) -> None:
        answer = client.get(PATTERN, headers={"Sec-Fetch-Site": "cross-site"})

        assert answer.status_code == 404
        assert not Job.objects.exists()

    def test_takes_no_post(self, client: Client) -> None:
        assert client.post(PATTERN).status_code == 405

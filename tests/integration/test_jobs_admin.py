"""The admin's pages for jobs: what they show, and who may do what."""

import pytest
from django.contrib.auth.models import Permission
from django.urls import reverse

from jobs import enqueue
from jobs.engine import lifecycle
from jobs.models import Job
from jobs.states import JobState
from jobs.testing import run_enqueued_jobs
from tests.harness.tasks import Errand, add_effect_fenced, do_nothing
from tests.people import make_user

pytestmark = pytest.mark.django_db

HOSTILE = "<script>alert(1)</script>"
LIST = reverse("admin:jobs_job_changelist")


def page_of(job, action="change"):
    return reverse(f"admin:jobs_job_{action}", args=[job.pk])


@pytest.fixture
def make_job(acme):
    def make(label="a job", **options) -> Job:
        return enqueue(do_nothing, Errand(label=label), tenant_id=acme.pk, **options)

    return make


@pytest.fixture
def failed(make_job):
    job = make_job(HOSTILE)
    lifecycle.fail(job, ValueError(HOSTILE), outcome=None)
    return job


@pytest.fixture
def operator(client):
    """A browser of staff who may see jobs; `allow` lets them do more."""
    user = make_user("operator@offload.example", is_staff=True)
    client.force_login(user)

    def allow(*codenames):
        user.user_permissions.add(*Permission.objects.filter(codename__in=codenames))

    allow("view_job")
    client.allow = allow
    return client


class TestList:
    def test_shows_tenant_state_and_error_of_each_job(self, operator, failed):
        text = operator.get(LIST).content.decode()
        assert "Acme" in text
        assert "tests.do_nothing" in text
        assert "ValueError" in text

    def test_shows_the_systems_jobs_as_such(self, operator):
        enqueue(do_nothing, Errand(label="x"))
        assert ">system<" in operator.get(LIST).content.decode().replace("\n", "").replace(" ", "")

    def test_escapes_what_an_error_says(self, operator, failed):
        assert HOSTILE not in operator.get(LIST).content.decode()

    @pytest.mark.parametrize("query", ["state=failed", "type=tests.do_nothing"])
    def test_filters(self, operator, failed, query):
        assert str(failed.pk) in operator.get(f"{LIST}?{query}").content.decode()

    def test_leaves_out_what_the_filter_does_not_match(self, operator, make_job):
        job = make_job()
        assert page_of(job) not in operator.get(f"{LIST}?state=failed").content.decode()

    def test_finds_jobs_by_their_id_and_by_their_tenants(self, operator, make_job, acme):
        job, stranger = make_job(), enqueue(do_nothing, Errand(label="x"))
        for wanted in (job.pk, acme.pk):
            text = operator.get(LIST, {"q": str(wanted)}).content.decode()
            assert page_of(job) in text
            assert page_of(stranger) not in text

    def test_finds_nothing_for_what_is_no_id(self, operator, make_job):
        job = make_job()
        assert page_of(job) not in operator.get(LIST, {"q": "nothing"}).content.decode()

    def test_costs_the_same_number_of_queries_for_many_jobs(
        self, operator, make_job, django_assert_max_num_queries
    ):
        for _ in range(30):
            make_job()
        with django_assert_max_num_queries(12):
            operator.get(LIST)


class TestDetail:
    def test_shows_payload_and_attempts_escaped(self, operator):
        job = enqueue(add_effect_fenced, Errand(label=HOSTILE, failures=99))
        run_enqueued_jobs(raise_errors=False)
        text = operator.get(page_of(job)).content.decode()
        assert HOSTILE not in text
        assert "&lt;script&gt;" in text
        assert "Traceback" in text

    def test_links_a_replay_and_what_it_replays(self, operator, failed):
        operator.allow("replay_job")
        operator.post(page_of(failed, "run_again"))
        new = Job.objects.get(replay_of=failed)
        assert page_of(new) in operator.get(page_of(failed)).content.decode()
        assert page_of(failed) in operator.get(page_of(new)).content.decode()

    def test_can_not_be_changed_added_or_deleted(self, operator, make_job):
        job = make_job()
        user = make_user("root@offload.example", is_staff=True, is_superuser=True)
        operator.force_login(user)
        assert operator.post(page_of(job), {"state": "succeeded"}).status_code == 403
        assert operator.get(reverse("admin:jobs_job_add")).status_code == 403
        assert operator.post(page_of(job, "delete"), {"post": "yes"}).status_code == 403

    def test_is_not_shown_without_the_permission(self, client, make_job):
        client.force_login(make_user("new@offload.example", is_staff=True))
        assert client.get(page_of(make_job())).status_code == 403


class TestActions:
    def test_ask_before_they_act(self, operator, make_job):
        operator.allow("cancel_job")
        job = make_job()
        assert "Cancel this job" in operator.get(page_of(job, "cancel")).content.decode()
        job.refresh_from_db()
        assert job.state == JobState.WAITING

    def test_cancel_a_job(self, operator, make_job):
        operator.allow("cancel_job")
        job = make_job()
        operator.post(page_of(job, "cancel"))
        job.refresh_from_db()
        assert job.state == JobState.CANCELLED
        assert "operator@offload.example" in job.error

    def test_tell_a_second_click_that_it_is_done(self, operator, failed):
        operator.allow("replay_job")
        for _ in range(2):
            answer = operator.post(page_of(failed, "run_again"), follow=True)
        assert "replayed already" in answer.content.decode()
        assert Job.objects.filter(replay_of=failed).count() == 1

    def test_work_on_a_selection(self, operator, make_job):
        operator.allow("cancel_job")
        jobs = [make_job(), make_job()]
        ids = [str(job.pk) for job in jobs]
        operator.post(LIST, {"action": "cancel_selected", "_selected_action": ids})
        assert set(Job.objects.values_list("state", flat=True)) == {JobState.CANCELLED}

    def test_do_the_rest_of_a_selection_where_one_is_refused(self, operator, failed, make_job):
        operator.allow("replay_job")
        ids = [str(make_job().pk), str(failed.pk)]
        form = {"action": "run_selected_again", "_selected_action": ids}
        answer = operator.post(LIST, form, follow=True).content.decode()
        assert "only failed or cancelled jobs run again" in answer
        assert Job.objects.filter(replay_of=failed).exists()

    @pytest.mark.parametrize("action", ["cancel", "run_again"])
    def test_need_a_permission_each(self, operator, failed, action):
        operator.allow({"cancel": "replay_job", "run_again": "cancel_job"}[action])
        assert operator.post(page_of(failed, action)).status_code == 403

    def test_are_offered_to_those_alone_who_may(self, operator, make_job):
        job = make_job()
        assert page_of(job, "cancel") not in operator.get(page_of(job)).content.decode()
        operator.allow("cancel_job")
        assert page_of(job, "cancel") in operator.get(page_of(job)).content.decode()

    def test_are_recorded_in_the_history(self, operator, make_job):
        operator.allow("cancel_job")
        job = make_job()
        operator.post(page_of(job, "cancel"))
        assert "Cancelled" in operator.get(page_of(job, "history")).content.decode()

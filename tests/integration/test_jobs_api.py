"""`/api/v1/jobs`: a tenant's own jobs, what became of them, and what may be done to them."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from jobs import enqueue, operations
from jobs.ids import new_id
from jobs.models import Job
from jobs.states import JobState
from jobs.testing import run_enqueued_jobs
from project.accounts.scopes import Role
from tests.harness.tasks import Errand, add_effect_fenced, do_nothing
from tests.people import bearer, make_member, make_tenant, make_token

pytestmark = pytest.mark.django_db

JOBS = "/api/v1/jobs"


@pytest.fixture
def owner(acme):
    return make_member(acme, "owner@acme.example", Role.OWNER)


@pytest.fixture
def api(client, acme, owner):
    """A client with a token that may do everything in acme."""
    client.defaults |= {"HTTP_AUTHORIZATION": bearer(make_token(acme, owner)[1])["Authorization"]}
    return client


@pytest.fixture
def make_job(acme, owner):
    def make(label="a job", *, tenant=acme, task=do_nothing, failures=0, **options) -> Job:
        payload = Errand(label=label, failures=failures)
        return enqueue(task, payload, tenant_id=tenant.pk, user_id=owner.pk, **options)

    return make


@pytest.fixture
def foreign(make_job):
    return make_job(tenant=make_tenant("globex"))


def ids(answer) -> list[str]:
    return [item["id"] for item in answer.json()["items"]]


class TestList:
    def test_shows_the_tenants_jobs_newest_first(self, api, make_job, foreign):
        first, second = make_job(), make_job()
        assert ids(api.get(JOBS)) == [str(second.pk), str(first.pk)]

    def test_filters_by_state_and_type(self, api, make_job):
        make_job()
        other = make_job(task=add_effect_fenced)
        cancelled = make_job()
        operations.cancel_job(job_id=cancelled.pk, by="a test")
        assert ids(api.get(JOBS, {"state": "cancelled"})) == [str(cancelled.pk)]
        assert ids(api.get(JOBS, {"type": "tests.add_effect_fenced"})) == [str(other.pk)]

    def test_gives_every_job_once_page_by_page(self, api, make_job):
        made = {str(make_job().pk) for _ in range(5)}
        seen: list[str] = []
        before = None
        while True:
            page = api.get(JOBS, {"limit": 2} | ({"before": before} if before else {}))
            seen += ids(page)
            before = page.json()["next_before"]
            if before is None:
                break
        assert (len(seen), set(seen)) == (5, made)

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("state=done", "state"),
            ("limit=0", "limit"),
            ("limit=many", "limit"),
            ("before=7", "before"),
            ("stat=failed", "stat"),
            ("type=%00", "type"),
        ],
    )
    def test_names_the_parameter_that_is_wrong(self, api, query, field):
        answer = api.get(f"{JOBS}?{query}")
        assert answer.status_code == 422
        assert [fault["field"] for fault in answer.json()["errors"]] == [field]


class TestDetail:
    def test_shows_state_payload_and_times_with_their_zone(self, api, make_job, owner):
        job = make_job("lunch", run_at=timezone.now() + timedelta(hours=1))
        shown = api.get(f"{JOBS}/{job.pk}").json()
        assert (shown["id"], shown["type"], shown["state"]) == (str(job.pk), job.type, "waiting")
        assert shown["payload"]["label"] == "lunch"
        assert shown["user_id"] == str(owner.pk)
        told = datetime.fromisoformat(shown["run_at"])
        assert timedelta() <= job.run_at - told < timedelta(milliseconds=1)
        assert (shown["attempts"], shown["history"], shown["settled_at"]) == (0, [], None)

    def test_shows_every_attempt_with_its_error_and_times(self, api, make_job):
        job = make_job("soup", task=add_effect_fenced, failures=99)
        run_enqueued_jobs(raise_errors=False)
        shown = api.get(f"{JOBS}/{job.pk}").json()
        assert (shown["state"], shown["attempts"]) == ("failed", 4)
        assert [each["attempt"] for each in shown["history"]] == [1, 2, 3, 4]
        assert shown["history"][0]["error"] == "RuntimeError: soup fails on attempt 1"
        assert shown["history"][0]["started_at"] <= shown["history"][0]["ended_at"]

    def test_counts_a_success_as_an_attempt(self, api, make_job):
        job = make_job()
        run_enqueued_jobs()
        shown = api.get(f"{JOBS}/{job.pk}").json()
        assert (shown["state"], shown["attempts"]) == ("succeeded", 1)

    def test_keeps_tracebacks_to_the_admin(self, api, make_job):
        job = make_job("soup", task=add_effect_fenced, failures=99)
        run_enqueued_jobs(raise_errors=False)
        assert "Traceback" not in api.get(f"{JOBS}/{job.pk}").content.decode()


class TestCancel:
    def test_cancels_a_live_job(self, api, make_job):
        answer = api.post(f"{JOBS}/{make_job().pk}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
        assert answer.json()["error"] == "Cancelled by owner@acme.example."

    def test_says_that_a_settled_job_can_not_be_cancelled(self, api, make_job):
        job = make_job()
        api.post(f"{JOBS}/{job.pk}/cancel")
        answer = api.post(f"{JOBS}/{job.pk}/cancel")
        assert (answer.status_code, answer.json()["title"]) == (409, "Not live")


class TestRetry:
    def test_runs_a_cancelled_job_again_as_a_new_one(self, api, make_job):
        old = make_job("again")
        operations.cancel_job(job_id=old.pk, by="a test")
        answer = api.post(f"{JOBS}/{old.pk}/retry")
        new = answer.json()
        assert (answer.status_code, new["state"], new["replay_of"]) == (202, "waiting", str(old.pk))
        assert new["payload"] == old.payload
        assert api.get(f"{JOBS}/{old.pk}").json()["replayed_by"] == new["id"]

    def test_does_so_once(self, api, make_job):
        old = make_job()
        operations.cancel_job(job_id=old.pk, by="a test")
        answers = [api.post(f"{JOBS}/{old.pk}/retry").status_code for _ in range(2)]
        assert answers == [202, 409]

    def test_refuses_a_live_job(self, api, make_job):
        answer = api.post(f"{JOBS}/{make_job().pk}/retry")
        assert (answer.status_code, answer.json()["title"]) == (409, "Not replayable")


CALLS = [("get", ""), ("post", "/cancel"), ("post", "/retry")]


@pytest.mark.parametrize(("method", "path"), CALLS)
class TestWalls:
    def test_hide_another_tenants_job_as_if_it_were_not_there(self, api, foreign, method, path):
        def ask(job_id):
            answer = getattr(api, method)(f"{JOBS}/{job_id}{path}")
            return answer.status_code, answer.json()["detail"].replace(str(job_id), "ID")

        assert ask(foreign.pk) == ask(new_id())
        assert ask(foreign.pk)[0] == 404
        foreign.refresh_from_db()
        assert foreign.state == JobState.WAITING

    def test_answer_404_for_what_is_no_id(self, api, method, path):
        answer = getattr(api, method)(f"{JOBS}/seven{path}")
        assert answer.status_code == 404
        assert answer.json()["errors"][0]["field"] == "job_id"


class TestScopes:
    @pytest.mark.parametrize(
        ("scopes", "codes"), [(["jobs:read"], [200, 403, 403]), (["jobs:write"], [403, 409, 202])]
    )
    def test_decide_what_a_token_may_do(self, client, acme, owner, make_job, scopes, codes):
        job = make_job()
        operations.cancel_job(job_id=job.pk, by="a test")
        headers = bearer(make_token(acme, owner, scopes=scopes)[1])
        answers = [
            getattr(client, method)(f"{JOBS}/{job.pk}{path}", headers=headers).status_code
            for method, path in CALLS
        ]
        assert answers == codes

    def test_let_a_member_look_and_not_touch(self, client, acme, make_job):
        client.force_login(make_member(acme, "member@acme.example"))
        job = make_job()
        assert client.get(f"{JOBS}/{job.pk}").status_code == 200
        assert client.post(f"{JOBS}/{job.pk}/cancel").status_code == 403
